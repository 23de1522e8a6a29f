"""Rows of tables as plain values side by side, from which their hashes and checks are made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.columns import Words, flat, is_constant, text, text_bytes
from aion_dagster.curation.linking import Places

PICTURE_TEXTS: Final = ("image_id", "sha256", "file_name", "group_id")
ANNOTATION_TEXTS: Final = ("annotation_id", "text", "attributes")
NAMES: Final = ("category", "origin")
"""Columns of few different values."""


@dataclass(frozen=True)
class Pieces:
    """Values of rows, one row's after the other: `edges` says where each begins, one more than there are rows."""

    data: npt.NDArray[Any]
    edges: Places


def strings(column: pa.ChunkedArray) -> Pieces:
    """The bytes of strings; null is empty."""
    return Pieces(*text_bytes(text(column)))


def lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Bytes of each string; -1 for null."""
    found = pc.fill_null(pc.binary_length(text(column)), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)


def flags(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Null is False."""
    found = flat(column, pa.bool_())
    found = pc.fill_null(found, False) if found.null_count else found
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def sides(boxes: pa.ChunkedArray) -> list[npt.NDArray[np.float64]]:
    """x, y, width and height; NaN where there is no box."""
    return [
        (pc.fill_null(side, np.nan) if side.null_count else side).to_numpy(zero_copy_only=False)
        for side in flat(boxes, schemas.BBOX).flatten()
    ]


def scores(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """NaN for null."""
    found: npt.NDArray[np.float32] = pc.fill_null(column, np.nan).to_numpy().astype(np.float32)
    return found


def name_numbers(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], Words]:
    """For each of few different names its place among numbers, and these; that of null is 0."""
    if pa.types.is_dictionary(column.type):
        encoded = flat(column, column.type)
    elif is_constant(column):
        return np.zeros(len(column), np.int32), np.array([_number(column[0].as_py())], np.uint64)
    else:
        encoded = flat(column, pa.string()).dictionary_encode()
    numbers = [_number(name) for name in encoded.dictionary.to_pylist()]
    codes = encoded.indices
    codes = pc.fill_null(codes, len(numbers)) if codes.null_count else codes
    return codes.to_numpy(), np.array([*numbers, 0], np.uint64)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def number_lists(column: pa.ChunkedArray) -> tuple[Pieces, npt.NDArray[np.int32]]:
    """Lists of numbers, and how many each row has; -1 for null."""
    if column.null_count == len(column):
        edges = np.zeros(len(column) + 1, np.int64)
        return Pieces(np.zeros(0, "<f8"), edges), np.full(len(column), -1, np.int32)
    lists = flat(column, column.type)
    counts = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    values = pc.fill_null(pc.list_flatten(lists), np.nan).to_numpy(zero_copy_only=False) + 0.0
    edges = edges_of(np.maximum(counts, 0))
    return Pieces(np.ascontiguousarray(values, dtype="<f8"), edges), counts.astype(np.int32)


def outlines(column: pa.ChunkedArray) -> tuple[list[npt.NDArray[Any]], list[Pieces]]:
    """Of outlines: numbers of each row, then points, polygons' lengths and masks.

    The numbers stand there without any outline too: that of one picture must not change the hash of another.
    """
    if column.null_count == len(column):
        none = np.full(len(column), -1, np.int32)
        edges = np.zeros(len(column) + 1, np.int64)
        return [none] * 4, [Pieces(np.zeros(0, np.uint8), edges)] * 3
    given = flat(column, schemas.SEGMENTATION)
    polygons = pc.struct_field(given, "polygons")
    mask = pc.struct_field(given, "rle")
    counts = pc.fill_null(pc.list_value_length(polygons), -1).to_numpy(zero_copy_only=False)
    per_row = edges_of(np.maximum(counts, 0))
    points = pc.list_flatten(polygons)
    sizes = pc.fill_null(pc.list_value_length(points), 0).to_numpy(zero_copy_only=False)
    per_polygon = edges_of(sizes)
    values = pc.list_flatten(points).to_numpy(zero_copy_only=False) + 0.0
    extents = [
        pc.fill_null(pc.struct_field(mask, side), -1).to_numpy(zero_copy_only=False)
        for side in ("height", "width")
    ]
    runs = pc.struct_field(mask, "counts")
    records = [counts.astype(np.int32), *(s.astype(np.int32) for s in extents), lengths(runs)]
    return records, [
        Pieces(np.ascontiguousarray(values, dtype="<f8"), per_polygon[per_row]),
        Pieces(sizes.astype("<i4"), per_row),
        strings(runs),
    ]


def records(columns: Sequence[npt.NDArray[Any]], rows: int) -> Pieces:
    """Numbers of each row side by side, as bytes."""
    dtype = np.dtype([(f"f{i}", c.dtype.newbyteorder("<")) for i, c in enumerate(columns)])
    padding = -dtype.itemsize % 4
    dtype = np.dtype([*((n, dtype[n]) for n in dtype.names or ()), ("pad", f"V{padding}")]) if padding else dtype  # fmt: skip
    table = np.zeros(rows, dtype)
    for number, column in enumerate(columns):
        table[f"f{number}"] = column
    return Pieces(table.view(np.uint8), np.arange(rows + 1, dtype=np.int64) * dtype.itemsize)


def edges_of(counts: npt.NDArray[Any]) -> Places:
    """Where each of some runs begins, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def ranges(starts: Places, counts: Places) -> Places:
    """start, start + 1, … for each start, one after the other."""
    return np.repeat(starts - edges_of(counts)[:-1], counts) + np.arange(int(counts.sum()))
