"""COCO annotations many at a time: ordinary ones as columns, odd ones by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.formats.coco_rows import (
    FARTHEST,
    KNOWN,
    LARGEST_SCORE,
    TRUE,
    BadValueError,
    CocoFile,
    annotation_row,
    attributes,
)
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, annotation_table, as_json

Mask = npt.NDArray[np.bool_]
Entries = Sequence[Mapping[str, Any]]

_ONE_BY_ONE: Final = 32
"""Annotations that are not halved any further in the search for the odd one among them."""
_NEEDED: Final = frozenset({"image_id", "category_id", "bbox"})
_ODD: Final = (TypeError, ValueError, KeyError, OverflowError)
"""What an odd annotation among many makes the columns raise."""


class CocoAnnotations:
    """The annotations of one COCO file, on their way into columns."""

    def __init__(self, file: CocoFile) -> None:
        """Annotations of this file."""
        self._file = file
        self._codes = {key: code for code, key in enumerate(file.names)}
        self._names = pa.array(list(file.names.values()), pa.string())
        self._tables: list[pa.Table] = []
        self._places: list[npt.NDArray[np.int64]] = []
        self._ids: list[npt.NDArray[np.int64] | list[str | None]] = []
        self._lost: list[tuple[int, str, str]] = []
        self._count = 0
        self._is_sorted = True

    @property
    def only_captions(self) -> bool:
        """Whether there are annotations, and none that needs a category."""
        return bool(self._tables) and all(t["origin"].null_count == 0 for t in self._tables)

    def add(self, entries: Sequence[Any]) -> None:
        """The next annotations of the file."""
        self._ids.append(_ids(entries))
        self._add(entries, self._count)
        self._count += len(entries)

    def finish(self, rows: LabelRows, label_file: str) -> None:
        """Everything into `rows`: annotations in the order of the file, losses, and a name for each.

        An annotation is called by its id where that is its own, else by its place.
        """
        references = self._references(rows, label_file)
        for place, kind, detail in sorted(self._lost):
            rows.lose(kind, references[place].as_py(), detail)
        if not self._tables:
            return
        table, places = pa.concat_tables(self._tables), np.concatenate(self._places)
        if not self._is_sorted:
            order = np.argsort(places, kind="stable")
            table, places = table.take(pa.array(order)), places[order]
        named = references if len(places) == len(references) else references.take(pa.array(places))
        index = table.schema.get_field_index("origin_ref")
        rows.add_table(table.set_column(index, table.schema.field(index), named))

    def _references(self, rows: LabelRows, label_file: str) -> pa.Array:
        places = pa.array(np.arange(self._count)).cast(pa.string())
        by_place = pc.binary_join_element_wise(f"{label_file}: annotations[", places, "]", "")
        ids = _as_text(self._ids)
        twice = _repeated(self._ids, ids)
        for name, count in twice.items():
            detail = f"{count} annotations have this id; each is kept under its place"
            rows.lose("renamed", f"{label_file}: annotation {name}", detail)
        if twice:
            own = pc.invert(pc.is_in(ids, value_set=pa.array(list(twice), pa.string())))
            ids = pc.if_else(own, ids, pa.scalar(None, pa.string()))
        by_id = pc.binary_join_element_wise(f"{label_file}: annotation ", ids, "")
        return pc.coalesce(by_id, by_place) if by_id.null_count else by_id

    def _add(self, entries: Sequence[Any], start: int) -> None:
        try:
            table, good = self._columns(entries)
        except _ODD:
            if len(entries) <= _ONE_BY_ONE:
                self._add_singly(entries, range(start, start + len(entries)))
                return
            half = len(entries) // 2
            self._add(entries[:half], start)
            self._add(entries[half:], start + half)
            return
        if good.all():
            self._keep(table, np.arange(start, start + len(entries)))
            return
        self._keep(table.filter(pa.array(good)), np.flatnonzero(good) + start)
        odd = np.flatnonzero(~good).tolist()
        self._add_singly([entries[i] for i in odd], [start + i for i in odd])
        self._is_sorted = False

    def _add_singly(self, entries: Iterable[Any], places: Iterable[int]) -> None:
        found: list[AnnotationRow] = []
        kept: list[int] = []
        for entry, place in zip(entries, places, strict=True):

            def lose(kind: str, detail: str, place: int = place) -> None:
                self._lost.append((place, kind, detail))

            try:
                found.append(annotation_row(entry, self._file, lose))
                kept.append(place)
            except BadValueError as error:
                lose("invalid", str(error))
        if found:
            self._keep(annotation_table(found), np.array(kept, dtype=np.int64))

    def _keep(self, table: pa.Table, places: npt.NDArray[np.int64]) -> None:
        self._tables.append(table)
        self._places.append(places)

    def _columns(self, entries: Sequence[Any]) -> tuple[pa.Table, Mask]:
        """Annotations as columns, and which of them are ordinary.

        Raises:
            _ODD: there is one among them that has no place in columns.
        """
        if set(map(type, entries)) != {dict}:
            raise TypeError("not only objects")
        shapes = set(map(tuple, entries))
        keys = frozenset(chain.from_iterable(shapes))
        count = len(entries)
        images = np.fromiter(map(self._file.images.get, _all(entries, "image_id"), repeat(-1)), np.int64, count)  # fmt: skip
        if "caption" in keys:
            return self._captions(entries, shapes, images)
        if not all(_NEEDED.issubset(shape) for shape in shapes):
            raise KeyError("not all of what an annotation needs")
        codes = np.fromiter(map(self._codes.get, _all(entries, "category_id"), repeat(-1)), np.int64, count)  # fmt: skip
        boxes = _boxes(_all(entries, "bbox"))
        good = (images >= 0) & (codes >= 0) & np.isfinite(boxes).all(axis=1)
        good &= (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
        columns = {
            "label_image": pa.array(images),
            "category": self._names.take(pa.array(np.maximum(codes, 0)))
            if len(self._names)
            else None,
            "bbox": _structs(boxes),
            "normalized": pa.array(np.zeros(count, dtype=bool)),
            "iscrowd": pa.array(_crowds(entries, keys)),
        }
        if "segmentation" in keys:
            columns["segmentation"] = _outlines([e.get("segmentation") for e in entries], good)
        if "keypoints" in keys:
            columns["keypoints"] = _keypoints([e.get("keypoints") for e in entries], good)
        if keys - KNOWN or keys & {"attributes", "score"}:
            columns |= _extras(entries, good)
        return _table(columns, count), good

    def _captions(
        self, entries: Entries, shapes: set[tuple[str, ...]], images: npt.NDArray[np.int64]
    ) -> tuple[pa.Table, Mask]:
        if not all("caption" in s and not {"bbox", "category_id", "score"} & {*s} for s in shapes):
            raise KeyError("captions and others")
        columns = {
            "label_image": pa.array(images),
            "text": pa.array([e["caption"] for e in entries], pa.string()),
            "origin": pa.array(["captions"] * len(entries), pa.string()),
            "normalized": pa.array(np.zeros(len(entries), dtype=bool)),
            "iscrowd": pa.array(np.zeros(len(entries), dtype=bool)),
        }
        if any(set(shape) - KNOWN or "attributes" in shape for shape in shapes):
            columns["attributes"] = _json([attributes(e) for e in entries])
        return _table(columns, len(entries)), (images >= 0) & columns["text"].is_valid().to_numpy(zero_copy_only=False)  # fmt: skip


def _all(entries: Entries, key: str) -> list[Any]:
    return [e[key] for e in entries]


def _table(columns: Mapping[str, Any], count: int) -> pa.Table:
    schema = schemas.LABEL_ANNOTATIONS
    arrays = [columns.get(f.name) for f in schema]
    filled = [pa.nulls(count, f.type) if a is None else a for a, f in zip(arrays, schema, strict=True)]  # fmt: skip
    return pa.table(filled, schema=schema)


def _boxes(given: list[Any]) -> npt.NDArray[np.float64]:
    if set(map(type, given)) != {list} or set(map(len, given)) != {4}:
        raise TypeError("a box is not four numbers")
    return np.fromiter(chain.from_iterable(given), np.float64, 4 * len(given)).reshape(-1, 4)


def _structs(boxes: npt.NDArray[np.float64]) -> pa.Array:
    sides = [pa.array(side) for side in boxes.T]
    return pa.StructArray.from_arrays(sides, fields=list(schemas.BBOX))


def _crowds(entries: Entries, keys: frozenset[str]) -> Mask:
    if "iscrowd" not in keys:
        return np.zeros(len(entries), dtype=bool)
    given = [e.get("iscrowd") for e in entries]
    if set(given) <= {0, None}:
        return np.zeros(len(entries), dtype=bool)
    return np.array([v in TRUE for v in given])


def _outlines(given: list[Any], good: Mask) -> pa.Array | None:
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


def _keypoints(given: list[Any], good: Mask) -> pa.Array:
    points = pa.array([g or None for g in given], schemas.LABEL_ANNOTATIONS.field("keypoints").type)
    lengths = pc.list_value_length(points).fill_null(0).to_numpy(zero_copy_only=False)
    numbers = np.asarray(points.flatten().fill_null(float("nan")), dtype=np.float64)
    owner = np.repeat(np.arange(len(given)), lengths)
    good &= (np.bincount(owner, ~np.isfinite(numbers), len(given)) == 0) & (lengths % 3 == 0)
    return points


def _extras(entries: Entries, good: Mask) -> dict[str, pa.Array]:
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
        "attributes": _json(found),
    }


def _json(found: Iterable[Mapping[str, Any]]) -> pa.Array:
    return pa.array([as_json(f) if f else None for f in found], pa.string())


def _ids(entries: Sequence[Any]) -> npt.NDArray[np.int64] | list[str | None]:
    """Ids as whole numbers where all are, else as text; None where an annotation has none."""
    ids = [e.get("id") if isinstance(e, dict) else None for e in entries]
    if set(map(type, ids)) == {int}:
        try:
            return np.array(ids, dtype=np.int64)
        except OverflowError:
            pass
    return [str(i) if type(i) in (int, str) else None for i in ids]


def _as_text(ids: Sequence[npt.NDArray[np.int64] | list[str | None]]) -> pa.Array:
    parts = [
        pa.array(part, pa.string()) if isinstance(part, list) else pa.array(part).cast(pa.string())
        for part in ids
    ]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def _repeated(
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
