"""CSV: annotations.csv, images.csv, categories.csv; no pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from aion_dagster.formats.boxes import areas
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.options import CsvOptions, Written, left_out_masks
from aion_dagster.values import Dataset, Loss

_FORMULA = r"^[=+\-@\t\r]"
"""How a cell begins that spreadsheets run (OWASP, CSV injection)."""


def write_csv(frame: Frame, dataset: Dataset, folder: Path, options: CsvOptions) -> Written:
    """Write one row per box, one per picture (those without boxes included), one per category."""
    masks = int(pc.sum(frame.annotations.column("segmentation").is_valid()).as_py() or 0)
    losses = list(left_out_masks(masks, "annotations.csv"))
    tables = (
        ("annotations.csv", _annotation_rows(frame), "annotation_id"),
        ("images.csv", _image_rows(frame), "image_id"),
        ("categories.csv", _category_rows(dataset), "name"),
    )
    for name, table, key in tables:
        if options.neutralise:
            table, changed = _neutralised(table, name, key)
            losses += changed
        with (folder / name).open("xb") as file:
            arrow_csv.write_csv(table, file)
    return Written(len(frame.image), tuple(losses))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a small CSV file whose cells no spreadsheet runs."""
    with path.open("x", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_neutral(cell) for cell in row] for row in rows)


def _neutral(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _annotation_rows(frame: Frame) -> pa.Table:
    own = frame.annotations
    row = pa.array(frame.image)
    x, y, w, h = frame.boxes
    return pa.table(
        {
            "annotation_id": own.column("annotation_id"),
            "image_id": own.column("image_id"),
            "file_name": pa.array(frame.names, pa.string()).take(row),
            "split": pa.array(frame.splits, pa.string()).take(row),
            "category": own.column("category"),
            "category_id": pa.array(frame.category),
            "x": x,
            "y": y,
            "w": w,
            "h": h,
            "area": areas(own, frame.images),
            "score": own.column("score"),
            "iscrowd": own.column("iscrowd").fill_null(False),
            "text": own.column("text"),
            "origin": own.column("origin"),
        }
    )


def _image_rows(frame: Frame) -> pa.Table:
    own = frame.images
    return pa.table(
        {
            "image_id": own.column("image_id"),
            "file_name": pa.array(frame.names, pa.string()),
            "split": pa.array(frame.splits, pa.string()),
            "width": pa.array(frame.widths),
            "height": pa.array(frame.heights),
            "sha256": own.column("sha256"),
            "format": own.column("format"),
            "group_id": own.column("group_id"),
            "labelled": own.column("labelled"),
            "annotations": np.diff(frame.starts),
        }
    )


def _category_rows(dataset: Dataset) -> pa.Table:
    return pa.table(
        {
            "category_id": pa.array(range(len(dataset.categories)), pa.int64()),
            "name": pa.array([c.name for c in dataset.categories], pa.string()),
            "supercategory": pa.array([c.supercategory for c in dataset.categories], pa.string()),
        }
    )


def _neutralised(table: pa.Table, file: str, key: str) -> tuple[pa.Table, list[Loss]]:
    """Text cells that begin like a formula get an apostrophe in front."""
    subjects, losses = table.column(key), []
    for i, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        column = table.column(i)
        risky = pc.match_substring_regex(column, _FORMULA).fill_null(False)
        if not pc.any(risky).as_py():
            continue
        quoted = pc.binary_join_element_wise("'", column, "")
        table = table.set_column(i, field, pc.if_else(risky, quoted, column))
        detail = (
            f"{file}: an apostrophe stands before its {field.name}, which begins like a formula"
        )
        losses += [Loss("converted", str(s), detail) for s in subjects.filter(risky).to_pylist()]
    return table, losses
