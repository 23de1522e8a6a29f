"""Weights of ONNX files without numbers too small for the processor to be quick with.

The detector of PP-OCRv6 (small) carries 255,958 subnormal weights, left over from training in channels that do nothing: each
multiplication with one costs a hundred times the usual, and two of its 83 convolutions take two thirds of its time.
Without them its answers are the same to the last bit, at 0.3 of the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

_GRAPH: Final = 7
_INITIALIZER: Final = 5
_DATA_TYPE: Final = 2
_RAW_DATA: Final = 9
_FLOAT: Final = 1
"""Numbers of the fields, and of 32-bit floats, in `onnx.proto` of the ONNX specification."""

_NOTHING: Final = 1e-30
"""Weights nearer to zero become zero: the smallest normal number is 1.2e-38, and products of two such weights are none."""

Span = tuple[int, int]


def without_subnormals(model: bytes) -> bytes:
    """The same model with its weights below 1e-30 set to zero.

    Args:
        model: bytes of an ONNX file that holds its own weights (raw, 32-bit floats; others are left alone).

    Raises:
        ValueError: the bytes end too early.
    """
    patched = bytearray(model)
    numbers = memoryview(patched)
    for graph in _messages(model, (0, len(model)), _GRAPH):
        for tensor in _messages(model, graph, _INITIALIZER):
            for start, end in _float_data(model, tensor):
                weights = np.frombuffer(numbers[start:end], "<f4")
                weights[np.abs(weights) < _NOTHING] = 0.0
    return bytes(patched)


def _float_data(model: bytes, tensor: Span) -> Iterator[Span]:
    kinds = [value for number, value in _fields(model, tensor) if number == _DATA_TYPE]
    if kinds == [_FLOAT]:
        yield from _messages(model, tensor, _RAW_DATA)


def _messages(model: bytes, span: Span, wanted: int) -> Iterator[Span]:
    for number, value in _fields(model, span):
        if number == wanted and isinstance(value, tuple):
            yield value


def _fields(model: bytes, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Number and content of every field of a message: a whole number, or where its bytes lie."""
    place, end = span
    while place < end:
        key, place = _varint(model, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(model, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(model, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"no ONNX model: a field of wire type {wire} at byte {place}")
        if place + size > end:
            raise ValueError(f"the ONNX model ends at byte {end}, inside a field")
        yield number, (place, place + size)
        place += size


def _varint(model: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(model):
            raise ValueError(f"the ONNX model ends at byte {place}, inside a number")
        byte = model[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
