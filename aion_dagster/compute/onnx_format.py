"""Writes ONNX models whose weights stay outside of them: the few messages of the format that this takes, and no more.

Fields and numbers are those of `onnx.proto` of the ONNX specification, IR version 11; the encoding is Protocol Buffers'.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

FLOAT: Final = 1
INT64: Final = 7
IR_VERSION: Final = 11

Attribute = int | float | Sequence[int]
Shape = Sequence[int | str]
"""Sizes; a name stands for one that each run brings along."""


def node(
    kind: str,
    inputs: Iterable[str],
    output: str,
    attributes: Mapping[str, Attribute],
) -> bytes:
    """One operator with one output."""
    return b"".join(
        [
            *(_text(1, name) for name in inputs),
            _text(2, output),
            _text(4, kind),
            *(_field(5, _attribute(name, value)) for name, value in attributes.items()),
        ]
    )


def outside(name: str, shape: Sequence[int]) -> bytes:
    """A weight of 32-bit floats whose numbers the runtime is given by this name."""
    # The file is never looked for: what the runtime is given goes first.
    place = _text(1, "location") + _text(2, name)
    dims = b"".join(_number(1, size) for size in shape)
    return dims + _number(2, FLOAT) + _text(8, name) + _field(13, place) + _number(14, 1)


def constant(name: str, values: Sequence[int]) -> bytes:
    """A row of 64-bit whole numbers."""
    raw = struct.pack(f"<{len(values)}q", *values)
    return _number(1, len(values)) + _number(2, INT64) + _text(8, name) + _field(9, raw)


def value(name: str, shape: Shape) -> bytes:
    """An input or output of 32-bit floats."""
    dims = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
    tensor = _number(1, FLOAT) + _field(2, b"".join(_field(1, dim) for dim in dims))
    return _text(1, name) + _field(2, _field(1, tensor))


def model(
    *,
    nodes: Iterable[bytes],
    weights: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    opset: int,
) -> bytes:
    """The whole; `opset` is the version of the operators."""
    parts = ((1, nodes), (5, weights), (11, inputs), (12, outputs))
    graph = _text(2, "graph") + b"".join(_field(n, each) for n, many in parts for each in many)
    return _number(1, IR_VERSION) + _field(7, graph) + _field(8, _number(2, opset))


def _attribute(name: str, given: Attribute) -> bytes:
    if isinstance(given, int):
        return _text(1, name) + _number(3, given) + _number(20, 2)
    if isinstance(given, float):
        return _text(1, name) + _key(2, 5) + struct.pack("<f", given) + _number(20, 1)
    return _text(1, name) + b"".join(_number(8, each) for each in given) + _number(20, 7)


def _text(number: int, content: str) -> bytes:
    return _field(number, content.encode())


def _field(number: int, content: bytes) -> bytes:
    return _key(number, 2) + _varint(len(content)) + content


def _number(number: int, content: int) -> bytes:
    return _key(number, 0) + _varint(content)


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(content: int) -> bytes:
    """Seven bits a byte, lowest first; negative numbers as their 64-bit complement."""
    rest = content & 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
