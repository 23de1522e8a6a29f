"""Rows of text made column by column: no Python object per row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_COMMA: Final = 0x2C
_CLOSING: Final = 0x5D
_SPACE: Final = 0x20

_FOUR_DIGITS: Final = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), dtype=np.uint32)
"""The four ASCII digits of 0..9999, as one number that is copied at once."""


class Rows(NamedTuple):
    """Rows that stand one after the other in `data`; row i is `data[ends[i]:ends[i + 1]]`."""

    data: memoryview
    ends: NDArray[np.int64]

    def between(self, start: int, end: int) -> memoryview:
        """The bytes of rows start … end - 1."""
        return self.data[int(self.ends[start]) : int(self.ends[end])]

    def parts(self, starts: NDArray[np.int64]) -> list[memoryview]:
        """The bytes of each group of rows, where `starts` are the groups' first rows and, last, the end."""
        places = self.ends[starts].tolist()
        return [self.data[a:b] for a, b in pairwise(places)]


def json_numbers(values: NDArray[Any], end: bytes = b",") -> pa.Array:
    """Each number as in JSON with a comma (or another `end`) behind it; of (n, m) values each row in brackets.

    Numbers are the shortest that read back as the same float64; whole floats end in `.0`.
    """
    if not len(values):
        return pa.array([], pa.string())
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    data = np.frombuffer(bytearray(text), dtype=np.uint8)[1:]
    data[-1] = _COMMA
    if values.ndim == 1:
        ends = np.flatnonzero(data == _COMMA) + 1
    else:
        ends = np.flatnonzero(data == _CLOSING) + 2
    data[ends - 1] = end[0]
    return _strings(data, ends)


def _strings(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> pa.Array:
    offsets = np.zeros(len(ends) + 1, dtype=np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))


def joined(*parts: str | pa.Array) -> Rows:
    """Rows made of columns of text and of constants; at least one part is a column without nulls."""
    column = pc.binary_join_element_wise(*parts, "")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    return Rows(memoryview(data if data is not None else b""), ends.astype(np.int64))


def fractions(first: NDArray[np.int64], values: NDArray[np.int64]) -> Rows:
    """Lines of a whole number and of fractions with eight decimals: `7 0.50000000 1.00000000 …`.

    `first` (n,) is ≥ 0; `values` (n, m) are hundred-millionths between 0 and 10^8.
    """
    count, columns = values.shape
    if not count:
        return Rows(memoryview(b""), np.zeros(1, dtype=np.int64))
    width = len(str(int(first.max())))
    line = np.empty((count, width + 11 * columns + 1), dtype=np.uint8)
    for place in range(width):
        unit = 10 ** (width - 1 - place)
        line[:, place] = np.where((first >= unit) | (unit == 1), first // unit % 10 + 0x30, _SPACE)
    whole, rest = np.divmod(values, 10**8)
    high, low = np.divmod(rest, 10**4)
    for i in range(columns):
        place = width + 11 * i
        line[:, place] = _SPACE
        line[:, place + 1] = whole[:, i] + 0x30
        line[:, place + 2] = 0x2E
        for shift, part in ((3, high), (7, low)):
            four = np.ascontiguousarray(_FOUR_DIGITS[part[:, i]]).view(np.uint8)
            line[:, place + shift : place + shift + 4] = four.reshape(count, 4)
    line[:, -1] = 0x0A
    padding = (line[:, :width] == _SPACE).sum(axis=1) if width > 1 else np.zeros(count, int)
    flat = line.ravel()
    if padding.any():
        kept = np.ones_like(line, dtype=bool)
        kept[:, :width] = line[:, :width] != _SPACE
        flat = flat[kept.ravel()]
    lengths = line.shape[1] - padding
    return Rows(memoryview(flat.data), np.concatenate(([0], np.cumsum(lengths))))
