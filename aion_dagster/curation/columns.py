"""Columns of ids and hashes as arrays: parsed, looked up in one another, cut into runs."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.linking import Places

Column: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[Any]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

_WORD: Final = 8
IDS_AT_ONCE: Final = 1 << 16
"""Ids looked for at a time: what is made on the way stays small."""

_MOST: Final = 1 << 31
"""From so many bytes on, strings have to be large ones."""

_ALIKE: Final = 8
"""So many ids that begin alike are tried one by one."""

_UNSURE: Final = -2
_HALF: Final = np.uint64(32)
_LOWER: Final = np.uint64((1 << 32) - 1)


def flat(column: Column, kind: pa.DataType) -> pa.Array:
    """A column as one array of a type, whichever way it was given."""
    if isinstance(column, pa.ChunkedArray):
        chunks = column.chunks or [pa.array([], column.type)]
        column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    if not isinstance(column, pa.Array):
        return pa.array(column, kind)
    return column if column.type == kind else column.cast(kind)


def text(column: Column) -> pa.Array:
    """A column of strings as one array, whose values may take more than 2 GiB."""
    return flat(column, pa.large_string())


def one_text(column: Column) -> pa.Array:
    """`text` without widening what fits as it is: strings or large ones, whichever they are."""
    if isinstance(column, pa.Array) and pa.types.is_string(column.type):
        return column
    if (
        isinstance(column, pa.ChunkedArray)
        and pa.types.is_string(column.type)
        and (column.num_chunks == 1 or column.nbytes < _MOST)
    ):
        return flat(column, pa.string())
    return text(column)


def text_bytes(strings: pa.Array) -> tuple[Bytes, Places]:
    """The bytes of all strings one after the other, and where each begins (one more than strings); null is empty."""
    whole, edges = _whole(pc.fill_null(strings, "") if strings.null_count else strings)
    own = whole[edges[0] : edges[-1]]
    return own, (edges - edges[0] if edges[0] else edges).astype(np.int64, copy=False)


def _whole(strings: pa.Array) -> tuple[Bytes, npt.NDArray[np.signedinteger[Any]]]:
    """The bytes that strings or large ones are part of, and where each begins and the last one ends in them."""
    _, offsets, data = strings.buffers()
    kind = np.dtype(np.int64 if pa.types.is_large_string(strings.type) else np.int32)
    if offsets is None:
        return np.zeros(0, np.uint8), np.zeros(1, kind)
    edges = np.frombuffer(offsets, kind, len(strings) + 1, kind.itemsize * strings.offset)
    return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), edges


def fixed_width(strings: pa.Array, width: int | None = None) -> Bytes | None:
    """The bytes of strings that all have the same number of them, (n, width); None where they do not.

    `width`: None for any.
    """
    rows = len(strings)
    if strings.null_count or not rows:
        return None
    whole, edges = _whole(strings)
    first, last = int(edges[0]), int(edges[-1])
    wanted = int(edges[1]) - first if width is None else width
    if last - first != wanted * rows:
        return None
    for start in range(0, rows, IDS_AT_ONCE):
        some = edges[start : start + IDS_AT_ONCE + 1]
        if (some[1:] - some[:-1] != wanted).any():
            return None
    return whole[first:last].reshape(rows, wanted)


def is_constant(column: pa.ChunkedArray) -> bool:
    """Whether all strings of a column are the same one, which is not null."""
    wide = fixed_width(one_text(column))
    if wide is None:
        return False
    rows, width = wide.shape
    data = pa.py_buffer(wide)
    return bool(data.slice(width).equals(data.slice(0, width * (rows - 1))))


def is_ascending(strings: pa.Array) -> bool:
    """Whether every string is above the one before, byte by byte; so all differ."""
    heads = _heads(strings)
    if heads is None:
        return len(strings) < 2 or bool(pc.all(pc.less(strings[:-1], strings[1:])).as_py())
    if (heads[1:] < heads[:-1]).any():
        return False
    alike = np.flatnonzero(heads[1:] == heads[:-1])
    if 4 * len(alike) > len(heads):
        return bool(pc.all(pc.less(strings[:-1], strings[1:])).as_py())
    lower, upper = strings.take(pa.array(alike)), strings.take(pa.array(alike + 1))
    return not len(alike) or bool(pc.all(pc.less(lower, upper)).as_py())


def places_in(ids: Column, among: Column) -> Places:
    """For each of some ids the place where `among` has it first; -1 where it does not.

    Fastest where all are UUIDs, as the ids of pictures in a library are, and ascending.
    """
    own, others = one_text(ids), one_text(among)
    mine, theirs = fixed_width(own), fixed_width(others)
    if mine is None or theirs is None or mine.shape[1] != theirs.shape[1] or mine.shape[1] < _WORD:
        return _looked_up(own, others)
    heads = word_at(theirs, 0, ">u8")
    order = None
    if not (heads[1:] >= heads[:-1]).all():
        order, heads = _ranked(heads)
    places = np.empty(len(own), np.int64)
    for start in range(0, len(own), IDS_AT_ONCE):
        some = mine[start : start + IDS_AT_ONCE]
        places[start : start + IDS_AT_ONCE] = _places_among(some, theirs, heads, order)
    unsure = np.flatnonzero(places == _UNSURE)
    if len(unsure):
        places[unsure] = _looked_up(own.take(pa.array(unsure)), others)
    return places


def _places_among(some: Bytes, theirs: Bytes, heads: Words, order: Places | None) -> Places:
    """The places of some rows among `theirs`, whose heads in order are `heads`."""
    wanted = word_at(some, 0, ">u8")
    at = _searched(heads, wanted)
    places = np.empty(len(some), np.int64)
    open_ = np.arange(len(some))
    for _ in range(_ALIKE):
        last = np.minimum(at, len(heads) - 1)
        beside = last if order is None else order[last]
        same = _same_rows(some if len(open_) == len(some) else some[open_], theirs, beside)
        places[open_] = np.where(same, beside, -1)
        # Another id that begins alike may come next.
        again = np.flatnonzero(~same & (at < len(heads) - 1))
        again = again[heads[at[again] + 1] == wanted[open_[again]]]
        open_, at = open_[again], at[again] + 1
        if not len(open_):
            return places
    places[open_] = _UNSURE
    return places


def _same_rows(some: Bytes, others: Bytes, places: Places) -> npt.NDArray[np.bool_]:
    """Whether each row is what stands at a place among others."""
    rows, width = some.shape
    kind = f"u{np.gcd(width, _WORD)}"
    met = others.view(f"V{width}").ravel().take(places).view(kind)
    same = np.ones(rows, np.bool_)
    # Few rows differ, so they are sooner found by their words than row by row.
    same[np.flatnonzero(met != some.view(kind).ravel()) // (width // met.itemsize)] = False
    return same


def _looked_up(own: pa.Array, others: pa.Array) -> Places:
    if not len(own) or not len(others):
        return np.full(len(own), -1, np.int64)
    places = pc.fill_null(pc.index_in(text(own), value_set=text(others)), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64)


def _heads(strings: pa.Array) -> Words | None:
    """The first eight bytes of each string as a number that ranks like them; None where not all are equally long."""
    wide = fixed_width(strings)
    if wide is None or wide.shape[1] < _WORD:
        return None
    return word_at(wide, 0, ">u8")


def word_at(wide: Bytes, at: int, kind: Literal["<u8", ">u8"] = "<u8") -> Words:
    """Eight bytes of each row of (n, width), from the byte `at` on, as a number."""
    rows, width = wide.shape
    column: Words = np.ndarray((rows,), kind, wide, at, (width,)) if rows else np.zeros(0, kind)
    return column.astype(np.uint64)


def _ranked(heads: Words) -> tuple[Places, Words]:
    """Places in the order of heads, equal ones in their own order, and the heads in that order."""
    numbers = _hexadecimal(heads)
    if numbers is not None and len(heads) < 1 << 32:
        # Numbers are sorted several times as fast as places: each head, and its place below it.
        numbers <<= _HALF
        numbers |= np.arange(len(heads), dtype=np.uint64)
        numbers.sort()
        numbers &= _LOWER
        order = numbers.view(np.int64)
        ranked = heads[order]
        if (ranked[1:] >= ranked[:-1]).all():  # digits of both cases rank otherwise
            return order, ranked
    order = np.argsort(heads)  # several times as fast as a stable one
    ranked = heads[order]
    alike = ranked[1:] == ranked[:-1]
    if alike.any():
        tied = np.flatnonzero(np.append(alike, False) | np.append(False, alike))
        order[tied] = order[tied][np.lexsort((order[tied], ranked[tied]))]
    return order, ranked


def _hexadecimal(heads: Words) -> Words | None:
    """Eight hexadecimal digits each as a number; None where they are not."""
    try:
        return np.frombuffer(binascii.unhexlify(heads.astype(">u8").data), ">u4").astype(np.uint64)
    except binascii.Error:
        return None


def _searched(ranked: Words, wanted: Words) -> Places:
    """`np.searchsorted`, which is slow for what is in no order."""
    if (wanted[1:] >= wanted[:-1]).all():
        # Between the first and the last there are few enough for the processor's caches.
        ends = np.searchsorted(ranked, wanted[[0, -1]]) if len(wanted) else np.zeros(2, np.int64)
        return np.searchsorted(ranked[ends[0] : ends[1]], wanted) + int(ends[0])
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int64)
    found[order] = np.searchsorted(ranked, wanted[order])
    return found


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
    if wide is not None:
        try:
            plain = np.frombuffer(binascii.unhexlify(wide.data), ">u8").astype(np.uint64)
        except binascii.Error:
            pass
        else:
            return plain, np.zeros(len(plain), np.bool_)
    else:
        lengths = pc.fill_null(pc.binary_length(strings), 0).to_numpy(zero_copy_only=False)
        padded = pc.if_else(pa.array(lengths == 16), strings, "\0" * 16)
        wide = text_bytes(padded)[0].reshape(-1, 16)
    nibbles = _NIBBLES[wide]
    wrong: npt.NDArray[np.bool_] = np.logical_or.reduce(nibbles > 15, axis=1)
    packed = np.ascontiguousarray((nibbles[:, 0::2] << 4) | (nibbles[:, 1::2] & 15))
    return packed.view(">u8").ravel().astype(np.uint64), wrong
