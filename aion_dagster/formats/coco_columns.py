"""COCO annotations many at a time: ordinary ones as columns, odd ones by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.formats.coco_arrays import (
    Entries,
    Mask,
    box_column,
    box_numbers,
    crowds,
    extra_columns,
    filled_table,
    ids_as_text,
    ids_of,
    json_column,
    keypoint_column,
    outlines,
    repeated_ids,
    values_of,
)
from aion_dagster.formats.coco_rows import (
    KNOWN,
    BadValueError,
    CocoFile,
    annotation_row,
    attributes,
)
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, annotation_table

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
        self._ids.append(ids_of(entries))
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
        ids = ids_as_text(self._ids)
        twice = repeated_ids(self._ids, ids)
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
        images = np.fromiter(map(self._file.images.get, values_of(entries, "image_id"), repeat(-1)), np.int64, count)  # fmt: skip
        if "caption" in keys:
            return self._captions(entries, shapes, images)
        if not all(_NEEDED.issubset(shape) for shape in shapes):
            raise KeyError("not all of what an annotation needs")
        codes = np.fromiter(map(self._codes.get, values_of(entries, "category_id"), repeat(-1)), np.int64, count)  # fmt: skip
        boxes = box_numbers(values_of(entries, "bbox"))
        good = (images >= 0) & (codes >= 0) & np.isfinite(boxes).all(axis=1)
        good &= (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
        columns = {
            "label_image": pa.array(images),
            "category": self._names.take(pa.array(np.maximum(codes, 0)))
            if len(self._names)
            else None,
            "bbox": box_column(boxes),
            "normalized": pa.array(np.zeros(count, dtype=bool)),
            "iscrowd": pa.array(crowds(entries, keys)),
        }
        if "segmentation" in keys:
            columns["segmentation"] = outlines([e.get("segmentation") for e in entries], good)
        if "keypoints" in keys:
            columns["keypoints"] = keypoint_column([e.get("keypoints") for e in entries], good)
        if keys - KNOWN or keys & {"attributes", "score"}:
            columns |= extra_columns(entries, good)
        return filled_table(columns, count), good

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
            columns["attributes"] = json_column([attributes(e) for e in entries])
        return filled_table(columns, len(entries)), (images >= 0) & columns["text"].is_valid().to_numpy(zero_copy_only=False)  # fmt: skip
