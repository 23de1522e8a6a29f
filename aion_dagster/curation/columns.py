"""Columns of ids and hashes as arrays: parsed, looked up in one another, cut into runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.linking import Places

Column: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[Any]
Bytes = npt.NDArray[np.uint8]

UUID_LENGTH: Final = 36


def flat(column: Column, kind: pa.DataType) -> pa.Array:
    """A column as one array of a type, whichever way it was given."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not isinstance(column, pa.Array):
        return pa.array(column, kind)
    return column if column.type == kind else column.cast(kind)


def text(column: Column) -> pa.Array:
    """A column of strings as one array, whose values may take more than 2 GiB."""
    return flat(column, pa.large_string())


def text_bytes(strings: pa.Array) -> tuple[Bytes, Places]:
    """The bytes of all strings one after the other, and where each begins (one more than strings); null is empty."""
    filled = pc.fill_null(strings, "") if strings.null_count else strings
    _, offsets, data = filled.buffers()
    edges = np.frombuffer(offsets, np.int64, len(filled) + 1, 8 * filled.offset)
    whole = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return whole[edges[0] : edges[-1]], edges - edges[0]


def fixed_width(strings: pa.Array, width: int) -> Bytes | None:
    """The bytes of strings that all have `width` bytes, (n, width); None where they do not."""
    if strings.null_count:
        return None
    data, edges = text_bytes(strings)
    if not (np.diff(edges) == width).all():
        return None
    return data.reshape(len(strings), width)


def is_ascending(strings: pa.Array) -> bool:
    """Whether every string is above the one before, byte by byte; so all differ."""
    return len(strings) < 2 or bool(pc.all(pc.less(strings[:-1], strings[1:])).as_py())


def places_in(ids: Column, among: Column) -> Places:
    """For each of some ids the place where `among` has it first; -1 where it does not.

    Fastest where `among` is ascending and all are UUIDs, as the ids of pictures in a library are.
    """
    own, others = text(ids), text(among)
    if not len(own) or not len(others):
        return np.full(len(own), -1, np.int64)
    mine, theirs = fixed_width(own, UUID_LENGTH), fixed_width(others, UUID_LENGTH)
    if mine is not None and theirs is not None and is_ascending(others):
        found = np.searchsorted(_words(theirs), _words(mine)).astype(np.int64)
        inside = np.minimum(found, len(others) - 1)
        same = pc.equal(own, others.take(pa.array(inside))).to_numpy(zero_copy_only=False)
        return np.where(same, inside, -1)
    places = pc.fill_null(pc.index_in(own, value_set=others), -1)
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _words(width: Bytes) -> npt.NDArray[np.bytes_]:
    return np.ascontiguousarray(width).view(f"S{width.shape[1]}").ravel()


def run_starts(column: pa.Array) -> Places:
    """Where a value differs from the one before, the first place included; empty for an empty column."""
    if not len(column):
        return np.zeros(0, np.int64)
    changed = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.flatnonzero(changed) + 1)).astype(np.int64)


_NIBBLES: Final = np.full(256, 255, np.uint8)
for _digit in b"0123456789abcdefABCDEF":
    _NIBBLES[_digit] = int(chr(_digit), 16)


def parse_hex(strings: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """16 hexadecimal digits each as a number, and which strings are not that (their number means nothing)."""
    wide = fixed_width(strings, 16)
    if wide is None:
        lengths = pc.fill_null(pc.binary_length(strings), 0).to_numpy(zero_copy_only=False)
        padded = pc.if_else(pa.array(lengths == 16), strings, "\0" * 16)
        wide = fixed_width(padded, 16)
        assert wide is not None  # noqa: S101 - made so just above
    nibbles = _NIBBLES[wide]
    wrong: npt.NDArray[np.bool_] = np.logical_or.reduce(nibbles > 15, axis=1)
    packed = np.ascontiguousarray((nibbles[:, 0::2] << 4) | (nibbles[:, 1::2] & 15))
    return packed.view(">u8").ravel().astype(np.uint64), wrong
