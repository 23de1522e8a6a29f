"""Columns of many COCO annotations at once; whatever is odd raises, or is marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.formats.coco_rows import FARTHEST, LARGEST_SCORE, TRUE, attributes
from aion_dagster.formats.label_rows import as_json

Mask = npt.NDArray[np.bool_]
Entries = Sequence[Mapping[str, Any]]


def values_of(entries: Entries, key: str) -> list[Any]:
    """One value of each annotation, which all of them have."""
    return [e[key] for e in entries]


def filled_table(columns: Mapping[str, Any], count: int) -> pa.Table:
    """The columns as a table of schema `LABEL_ANNOTATIONS`; those that are not given are null."""
    schema = schemas.LABEL_ANNOTATIONS
    arrays = [columns.get(f.name) for f in schema]
    filled = [pa.nulls(count, f.type) if a is None else a for a, f in zip(arrays, schema, strict=True)]  # fmt: skip
    return pa.table(filled, schema=schema)


def box_numbers(given: list[Any]) -> npt.NDArray[np.float64]:
    """Boxes as an array [n, 4]."""
    if set(map(type, given)) != {list} or set(map(len, given)) != {4}:
        raise TypeError("a box is not four numbers")
    return np.fromiter(chain.from_iterable(given), np.float64, 4 * len(given)).reshape(-1, 4)


def box_column(boxes: npt.NDArray[np.float64]) -> pa.Array:
    """Boxes [n, 4] as a column of schema `BBOX`."""
    sides = [pa.array(side) for side in boxes.T]
    return pa.StructArray.from_arrays(sides, fields=list(schemas.BBOX))


def crowds(entries: Entries, keys: frozenset[str]) -> Mask:
    """Which annotations are of a crowd."""
    if "iscrowd" not in keys:
        return np.zeros(len(entries), dtype=bool)
    given = [e.get("iscrowd") for e in entries]
    if set(given) <= {0, None}:
        return np.zeros(len(entries), dtype=bool)
    return np.array([v in TRUE for v in given])


def outlines(given: list[Any], good: Mask) -> pa.Array | None:
    """Polygons as a column; rows with any other kind of mask, or a polygon that is no good, are marked in `good`."""
    if not any(given):
        return None
    drawn = np.fromiter(map(bool, given), bool, len(given))
    listed = np.array([type(g) is list and type(g[0]) is list for g in map(_or_list, given)])
    good &= listed | ~drawn
    plain = [g if is_listed else [] for g, is_listed in zip(given, listed.tolist(), strict=True)]
    rings = list(chain.from_iterable(plain))
    if not set(map(type, rings)) <= {list}:
        raise TypeError("a polygon is not a list")
    parts = np.fromiter(map(len, plain), np.int64, len(plain))
    lengths = np.fromiter(map(len, rings), np.int64, len(rings))
    numbers = np.fromiter(chain.from_iterable(rings), np.float64, int(lengths.sum()))
    ring = np.repeat(np.arange(len(rings)), lengths)
    far = np.bincount(ring, ~(np.abs(numbers) < FARTHEST), len(rings)) > 0
    unfit = far | (lengths < 6) | (lengths % 2 == 1)
    owner = np.repeat(np.arange(len(plain)), parts)
    good &= np.bincount(owner, unfit, len(plain)) == 0
    polygons = pa.ListArray.from_arrays(
        _offsets(parts), pa.ListArray.from_arrays(_offsets(lengths), pa.array(numbers))
    )
    runs = pa.nulls(len(plain), schemas.SEGMENTATION.field("rle").type)
    return pa.StructArray.from_arrays(
        [polygons, runs], fields=list(schemas.SEGMENTATION), mask=pa.array(~listed)
    )


def _or_list(value: Any) -> Any:
    return value or [None]


def _offsets(lengths: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))


def keypoint_column(given: list[Any], good: Mask) -> pa.Array:
    """Keypoints as a column; rows that are not triples of finite numbers are marked in `good`."""
    points = pa.array([g or None for g in given], schemas.LABEL_ANNOTATIONS.field("keypoints").type)
    lengths = pc.list_value_length(points).fill_null(0).to_numpy(zero_copy_only=False)
    numbers = np.asarray(points.flatten().fill_null(float("nan")), dtype=np.float64)
    owner = np.repeat(np.arange(len(given)), lengths)
    good &= (np.bincount(owner, ~np.isfinite(numbers), len(given)) == 0) & (lengths % 3 == 0)
    return points


def extra_columns(entries: Entries, good: Mask) -> dict[str, pa.Array]:
    """Scores, texts, and attributes as JSON; rows whose score cannot be used are marked in `good`."""
    found = [attributes(e) for e in entries]
    texts = [f.pop("text") if type(f.get("text")) is str else None for f in found]
    given = [e["score"] if "score" in e else f.pop("score", None) for e, f in zip(entries, found, strict=True)]  # fmt: skip
    scores = pa.array(given, pa.float64())
    large = pc.greater_equal(pc.abs(scores), LARGEST_SCORE).fill_null(False)
    good &= ~(large.to_numpy(zero_copy_only=False) | pc.is_nan(scores).fill_null(False).to_numpy(zero_copy_only=False))  # fmt: skip
    return {
        "score": scores.cast(pa.float32()),
        "text": pa.array(texts, pa.string()),
        "attributes": json_column(found),
    }


def json_column(found: Iterable[Mapping[str, Any]]) -> pa.Array:
    """Mappings as JSON; null where there is nothing in them."""
    return pa.array([as_json(f) if f else None for f in found], pa.string())


def ids_of(entries: Sequence[Any]) -> npt.NDArray[np.int64] | list[str | None]:
    """Ids as whole numbers where all are, else as text; None where an annotation has none."""
    ids = [e.get("id") if isinstance(e, dict) else None for e in entries]
    if set(map(type, ids)) == {int}:
        try:
            return np.array(ids, dtype=np.int64)
        except OverflowError:
            pass
    return [str(i) if type(i) in (int, str) else None for i in ids]


def ids_as_text(ids: Sequence[npt.NDArray[np.int64] | list[str | None]]) -> pa.Array:
    """The ids of all annotations, as text."""
    parts = [
        pa.array(part, pa.string()) if isinstance(part, list) else pa.array(part).cast(pa.string())
        for part in ids
    ]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def repeated_ids(
    ids: Sequence[npt.NDArray[np.int64] | list[str | None]], texts: pa.Array
) -> dict[str, int]:
    """Ids that more than one annotation has, and how many have them."""
    if all(isinstance(part, np.ndarray) for part in ids) and len(ids):
        numbers = np.concatenate([np.asarray(part) for part in ids])
        if (np.diff(numbers) > 0).all() or not (np.diff(np.sort(numbers)) == 0).any():
            return {}
    counts = pc.value_counts(texts.drop_null())
    names, numbers = counts.field("values"), counts.field("counts")
    several = pc.greater(numbers, 1)
    pairs = zip(names.filter(several).to_pylist(), numbers.filter(several).to_pylist(), strict=True)
    return dict(pairs)
