"""Rows of labels while a file is read, and the label set they become."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.values import Category, LabelSet, Loss, losses_from_table, losses_table

_SPLIT_WORDS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_NOT_LETTERS: Final = re.compile(r"[^a-z]+")

Box = tuple[float, float, float, float]


class AnnotationRow(NamedTuple):
    """One annotation as read: `box` x, y, w, h, in pixels or, where `normalized`, as fractions."""

    label_image: int
    category: str
    box: Box
    origin_ref: str
    segmentation: Mapping[str, Any] | None = None
    iscrowd: bool = False
    score: float | None = None
    text: str | None = None
    normalized: bool = False


class LabelRows:
    """Collects pictures, annotations and losses of one label source."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._images: list[tuple[str, int | None, int | None, str, str | None]] = []
        self._annotations: list[AnnotationRow] = []
        self._losses: list[Loss] = []

    def add_image(
        self,
        file_name: str,
        label_file: str,
        *,
        size: tuple[int | None, int | None] = (None, None),
        split: str | None = None,
    ) -> int:
        """A picture that the source names, with boxes or without; returns its number."""
        self._images.append((file_name, *size, label_file, split))
        return len(self._images) - 1

    def add(self, row: AnnotationRow) -> None:
        """One annotation."""
        self._annotations.append(row)

    def lose(self, kind: str, subject: str, detail: str) -> None:
        """What could not be read as it was."""
        self._losses.append(Loss(kind, subject, detail))

    def label_set(self, categories: Sequence[Category]) -> LabelSet:
        """Everything collected, as a label set with these classes in this order."""
        numbered = [(i, *image) for i, image in enumerate(self._images)]
        losses = losses_from_table(losses_table(self._losses))
        return LabelSet(
            _table(numbered, schemas.LABEL_IMAGES),
            _annotation_table(self._annotations),
            tuple(categories),
            losses,
        )


def split_named(*names: str) -> str | None:
    """The split that one of the names says: `instances_val2017`, `valid`; the first that says any."""
    for name in names:
        for word in _NOT_LETTERS.split(name.lower()):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return None


def positive_size(width: Any, height: Any) -> tuple[int | None, int | None]:
    """Width and height as whole numbers; both None where they are not positive numbers of a sensible size."""
    try:
        size = (int(float(width)), int(float(height)))
    except (TypeError, ValueError, OverflowError):
        return None, None
    return size if min(size) > 0 and max(size) < 1 << 31 else (None, None)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def _annotation_table(rows: Sequence[AnnotationRow]) -> pa.Table:
    schema = schemas.LABEL_ANNOTATIONS
    if not rows:
        return schema.empty_table()
    columns = dict(zip(AnnotationRow._fields, zip(*rows, strict=True), strict=True))
    sides = [pa.array(side, pa.float64()) for side in zip(*columns.pop("box"), strict=True)]
    arrays = {"bbox": pa.StructArray.from_arrays(sides, fields=list(schemas.BBOX))}
    arrays |= {name: pa.array(c, schema.field(name).type) for name, c in columns.items()}
    return pa.table([arrays[name] for name in schema.names], schema=schema)
