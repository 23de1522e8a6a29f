"""Rows of labels while a file is read, and the label set they become."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson
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

_CHUNK: Final = 1 << 16
"""Rows that are held as Python objects before they become columns."""
_NO_BOX: Final = (math.nan, math.nan, math.nan, math.nan)


class AnnotationRow(NamedTuple):
    """One annotation as read: `box` x, y, w, h, in pixels or, where `normalized`, as fractions.

    Captions (`text`) and tags (`category`) are about the whole picture and have no box. `keypoints` are x, y, v in the
    units of the box.
    """

    label_image: int
    category: str | None
    box: Box | None
    origin_ref: str
    segmentation: Mapping[str, Any] | None = None
    iscrowd: bool = False
    score: float | None = None
    text: str | None = None
    normalized: bool = False
    origin: Literal["captions", "tags"] | None = None
    keypoints: Sequence[float] | None = None
    attributes: Mapping[str, Any] | None = None


class ImageRow(NamedTuple):
    """One picture as a label source names it."""

    file_name: str
    width: int | None
    height: int | None
    label_file: str
    split: str | None
    sha256: str | None
    attributes: str | None


class LabelRows:
    """Collects pictures, annotations and losses of one label source."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._images: list[ImageRow] = []
        self._annotations: list[AnnotationRow] = []
        self._tables: list[pa.Table] = []
        self._losses: list[Loss] = []

    def add_image(
        self,
        file_name: str,
        label_file: str,
        *,
        size: tuple[int | None, int | None] = (None, None),
        split: str | None = None,
        sha256: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> int:
        """A picture that the source names, with boxes or without; returns its number."""
        extra = as_json(attributes) if attributes else None
        self._images.append(ImageRow(file_name, *size, label_file, split, sha256, extra))
        return len(self._images) - 1

    def add(self, row: AnnotationRow) -> None:
        """One annotation."""
        self._annotations.append(row)
        if len(self._annotations) >= _CHUNK:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        """Many annotations, schema `LABEL_ANNOTATIONS`."""
        self._flush()
        self._tables.append(table)

    def lose(self, kind: str, subject: str, detail: str) -> None:
        """What could not be read as it was."""
        self._losses.append(Loss(kind, _printable(subject), _printable(detail)))

    def label_set(self, categories: Sequence[Category]) -> LabelSet:
        """Everything collected, as a label set with these classes in this order."""
        self._flush()
        losses = losses_from_table(losses_table(self._losses))
        return LabelSet(
            _image_table(self._images),
            pa.concat_tables([*self._tables, schemas.LABEL_ANNOTATIONS.empty_table()]),
            tuple(categories),
            losses,
        )

    def _flush(self) -> None:
        if self._annotations:
            self._tables.append(annotation_table(self._annotations))
            self._annotations = []


def as_json(value: Mapping[str, Any]) -> str:
    """A mapping as JSON text; numbers that are not finite become null, what JSON has no word for its text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):  # numbers beyond 64 bits, lone surrogates
        return json.dumps(value, default=str)


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


def _image_table(rows: Sequence[ImageRow]) -> pa.Table:
    schema = schemas.LABEL_IMAGES
    if not rows:
        return schema.empty_table()
    columns: dict[str, Any] = dict(zip(ImageRow._fields, zip(*rows, strict=True), strict=True))
    columns |= {"label_image": range(len(rows)), "match": [None] * len(rows)}
    return pa.table([_array(columns[f.name], f.type) for f in schema], schema=schema)


def _array(values: Any, type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:  # names of files that are not UTF-8
        return pa.array([v and _printable(v) for v in values], type_)


def _printable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def annotation_table(rows: Sequence[AnnotationRow]) -> pa.Table:
    """Rows as a table of schema `LABEL_ANNOTATIONS`."""
    schema = schemas.LABEL_ANNOTATIONS
    if not rows:
        return schema.empty_table()
    columns: dict[str, Any] = dict(zip(AnnotationRow._fields, zip(*rows, strict=True), strict=True))
    boxes = columns.pop("box")
    columns["attributes"] = [as_json(a) if a else None for a in columns["attributes"]]
    sides = [pa.array(s, pa.float64()) for s in zip(*(b or _NO_BOX for b in boxes), strict=True)]
    absent = pa.array([b is None for b in boxes])
    arrays = {"bbox": pa.StructArray.from_arrays(sides, fields=list(schemas.BBOX), mask=absent)}
    arrays |= {name: _array(c, schema.field(name).type) for name, c in columns.items()}
    return pa.table([arrays[name] for name in schema.names], schema=schema)
