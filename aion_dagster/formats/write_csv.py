"""CSV: annotations.csv, images.csv, categories.csv; no pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from aion_dagster.formats.boxes import areas
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.neutral import neutral, neutral_table
from aion_dagster.formats.options import CsvOptions, Written, left_out
from aion_dagster.formats.parts import Integers, Part
from aion_dagster.values import Dataset, Loss


def write_csv(frame: Frame, dataset: Dataset, folder: Path, options: CsvOptions) -> Written:
    """Write one row per box, one per picture (those without boxes included), one per category."""
    losses: list[Loss] = []
    annotations, counts = 0, [np.zeros(0, dtype=np.int64)]

    def annotation_tables() -> Iterator[pa.Table]:
        nonlocal annotations
        for part in frame.parts():
            annotations += len(part.image)
            counts.append(np.diff(part.starts))
            yield annotation_rows(part)

    losses += _write_parts(folder, annotation_tables(), "annotations.csv", "annotation_id", options)
    pictures = image_rows(frame, np.concatenate(counts))
    losses += _write_parts(folder, [pictures], "images.csv", "image_id", options)
    losses += _write_parts(folder, [category_rows(dataset)], "categories.csv", "name", options)
    kept = ("score", "text")
    return Written(annotations, (*left_out(frame.seen, "annotations.csv", but=kept), *losses))


def _write_parts(
    folder: Path, parts: Iterable[pa.Table], name: str, key: str, options: CsvOptions
) -> list[Loss]:
    losses: list[Loss] = []
    with (folder / name).open("xb") as file:
        for i, table in enumerate(parts):
            if options.neutralise:
                table, changed = _neutralised(table, name, key)
                losses += changed
            arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(include_header=i == 0))
    return losses


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a small CSV file whose cells no spreadsheet runs."""
    with path.open("x", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([neutral(cell) for cell in row] for row in rows)


def annotation_rows(frame: Part) -> pa.Table:
    """A row per box."""
    own = frame.annotations
    row = pa.array(frame.image)
    x, y, w, h = frame.boxes
    return pa.table(
        {
            "annotation_id": own.column("annotation_id"),
            "image_id": _text(own.column("image_id")),
            "file_name": pa.array(frame.names, pa.string()).take(row),
            "split": pa.array(frame.splits, pa.string()).take(row),
            "category": _text(own.column("category")),
            "category_id": pa.array(frame.category, pa.int64()),
            "x": x,
            "y": y,
            "w": w,
            "h": h,
            "area": areas(own, frame.images),
            "score": own.column("score"),
            "iscrowd": own.column("iscrowd").fill_null(False),
            "text": own.column("text"),
            "origin": _text(own.column("origin")),
        }
    )


def image_rows(frame: Frame, annotations: Integers) -> pa.Table:
    """A row per picture, with the number of its annotations."""
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
            "annotations": annotations,
        }
    )


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that may be coded by a dictionary, as text."""
    return column.cast(pa.string())


def category_rows(dataset: Dataset) -> pa.Table:
    """A row per class."""
    return pa.table(
        {
            "category_id": pa.array(range(len(dataset.categories)), pa.int64()),
            "name": pa.array([c.name for c in dataset.categories], pa.string()),
            "supercategory": pa.array([c.supercategory for c in dataset.categories], pa.string()),
        }
    )


def _neutralised(table: pa.Table, file: str, key: str) -> tuple[pa.Table, list[Loss]]:
    """Text cells that begin like a formula get an apostrophe in front."""
    made, changed = neutral_table(table)
    losses = []
    for name, risky in changed.items():
        detail = f"{file}: an apostrophe stands before its {name}, which begins like a formula"
        subjects = table.column(key).filter(risky).to_pylist()
        losses += [Loss("converted", str(s), detail) for s in subjects]
    return made, losses
