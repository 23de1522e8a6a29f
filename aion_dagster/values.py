"""The values that travel between rooms: file references, losses, label sets, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from aion_dagster import schemas


@dataclass(frozen=True, slots=True)
class FileRef:
    """One version of one file of a source.

    `uri` is absolute; `name` is the path relative to the source's root in POSIX form, printable as UTF-8;
    `version` changes whenever the bytes may have changed; `modified_at` is in UTC.
    """

    source: str
    uri: str
    name: str
    version: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Loss:
    """One line of a loss report: what an import, a dataset or an export could not keep as it was.

    `kind` is one of clipped, dropped, renamed, deduplicated, converted, unmatched, ambiguous, invalid, missing,
    unlabelled, mismatched, split; `subject` names the file, picture or annotation.
    """

    kind: str
    subject: str
    detail: str


def losses_table(losses: list[Loss] | tuple[Loss, ...]) -> pa.Table:
    """Losses as a table of schema `schemas.LOSSES`."""
    return pa.table(
        {
            "kind": [x.kind for x in losses],
            "subject": [x.subject for x in losses],
            "detail": [x.detail for x in losses],
        },
        schema=schemas.LOSSES,
    )


def losses_from_table(table: pa.Table) -> tuple[Loss, ...]:
    """The reverse of `losses_table`."""
    return tuple(Loss(r["kind"], r["subject"], r["detail"]) for r in table.to_pylist())


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects; its place in a tuple of categories is its index.

    `keypoints` names the keypoints of its objects, `skeleton` joins them by their numbers from 1, as in COCO. `number`
    is the id that a label file has for it.
    """

    name: str
    supercategory: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    number: int | None = None


def categories_table(categories: tuple[Category, ...]) -> pa.Table:
    """Categories in class order, schema `schemas.CATEGORIES`."""
    return pa.table(
        {
            "name": [c.name for c in categories],
            "supercategory": [c.supercategory for c in categories],
            "keypoints": [list(c.keypoints) for c in categories],
            "skeleton": [[list(pair) for pair in c.skeleton] for c in categories],
            "number": [c.number for c in categories],
        },
        schema=schemas.CATEGORIES,
    )


def categories_from_table(table: pa.Table) -> tuple[Category, ...]:
    """The reverse of `categories_table`."""
    return tuple(
        Category(
            r["name"],
            r["supercategory"],
            tuple(r["keypoints"] or ()),
            tuple((a, b) for a, b in r["skeleton"] or ()),
            r["number"],
        )
        for r in conformed(table, schemas.CATEGORIES).to_pylist()
    )


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table that an earlier release stored, with the columns of today; those it lacks are null."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[f.name].cast(f.type) if f.name in table.schema.names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)


@dataclass(frozen=True)
class LabelSet:
    """Labels as imported, before they are matched with pictures.

    `images` has schema `LABEL_IMAGES` (pictures without boxes included), `annotations` `LABEL_ANNOTATIONS`.
    """

    images: pa.Table
    annotations: pa.Table
    categories: tuple[Category, ...]
    losses: tuple[Loss, ...] = ()

    @classmethod
    def empty(cls) -> LabelSet:
        """A label set without anything in it."""
        return cls(
            schemas.LABEL_IMAGES.empty_table(), schemas.LABEL_ANNOTATIONS.empty_table(), (), ()
        )

    def tables(self) -> dict[str, pa.Table]:
        """The set as named tables, for storage."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories_table(self.categories),
            "losses": losses_table(self.losses),
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], _info: Mapping[str, Any]) -> LabelSet:
        """The reverse of `tables`."""
        return cls(
            conformed(tables["images"], schemas.LABEL_IMAGES),
            conformed(tables["annotations"], schemas.LABEL_ANNOTATIONS),
            categories_from_table(tables["categories"]),
            losses_from_table(tables["losses"]),
        )

    def info(self) -> dict[str, Any]:
        """JSON-serialisable facts that are stored beside the tables."""
        return {}


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset, ready to be exported.

    `images` has schema `DATASET_IMAGES`, `annotations` `ANNOTATIONS`; both are sorted (by file_name; by image, then
    annotation_id), so that the same version gives the same bytes. Boxes are finite, upright pixels, inside the picture.
    `version` is the fingerprint; `settings` what it was made with. `left_out` (schema `LEFT_OUT`) names the pictures of
    the library that are not in it; `hashes` (`ROW_HASHES`) tells pictures that changed, None in older versions.
    """

    name: str
    version: str
    images: pa.Table
    annotations: pa.Table
    categories: tuple[Category, ...]
    losses: tuple[Loss, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    left_out: pa.Table = field(default_factory=schemas.LEFT_OUT.empty_table)
    hashes: pa.Table | None = None

    def tables(self) -> dict[str, pa.Table]:
        """The dataset as named tables, for storage."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories_table(self.categories),
            "losses": losses_table(self.losses),
            "left_out": self.left_out,
            **({} if self.hashes is None else {"row_hashes": self.hashes}),
        }

    def info(self) -> dict[str, Any]:
        """JSON-serialisable facts that are stored beside the tables."""
        return {"name": self.name, "version": self.version, "settings": dict(self.settings)}

    @classmethod
    def from_tables(cls, tables: Mapping[str, pa.Table], info: Mapping[str, Any]) -> Dataset:
        """The reverse of `tables` and `info`."""
        return cls(
            name=info["name"],
            version=info["version"],
            images=tables["images"],
            annotations=conformed(tables["annotations"], schemas.ANNOTATIONS),
            categories=categories_from_table(tables["categories"]),
            losses=losses_from_table(tables["losses"]),
            settings=info["settings"],
            left_out=tables.get("left_out", schemas.LEFT_OUT.empty_table()),
            hashes=tables.get("row_hashes"),
        )
