"""Parquet: annotations.parquet, images.parquet, categories.parquet; no pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aion_dagster import schemas
from aion_dagster.formats.boxes import areas
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.options import ParquetOptions, Written, left_out
from aion_dagster.formats.parts import Part
from aion_dagster.formats.row_groups import RowGroups
from aion_dagster.formats.write_csv import category_rows, image_rows
from aion_dagster.values import Dataset

_CODED: Final = ("image_id", "file_name", "split", "category", "origin")
"""Columns whose values repeat: coded by a dictionary in the file."""

ANNOTATION_COLUMNS: Final = pa.schema(
    [
        *(schemas.ANNOTATIONS.field(n) for n in ("annotation_id", "image_id")),
        ("file_name", pa.string()),
        ("split", pa.string()),
        schemas.ANNOTATIONS.field("category"),
        ("category_id", pa.int32()),
        schemas.ANNOTATIONS.field("bbox"),
        ("area", pa.float64()),
        *(
            schemas.ANNOTATIONS.field(n)
            for n in (
                "score",
                "segmentation",
                "iscrowd",
                "text",
                "origin",
                "keypoints",
                "attributes",
            )
        ),
    ]
)


def write_parquet(
    frame: Frame,
    dataset: Dataset,
    folder: Path,
    options: ParquetOptions,  # noqa: ARG001 - it has none of its own
) -> Written:
    """Write one row per box with all that is known of it, one per picture, one per category."""
    annotations, counts = 0, [np.zeros(0, dtype=np.int64)]
    place = folder / "annotations.parquet"
    with RowGroups(place, ANNOTATION_COLUMNS, coded=_CODED) as groups:
        for part in frame.parts():
            annotations += len(part.image)
            counts.append(np.diff(part.starts))
            groups.add(_annotation_rows(part))
    pictures = image_rows(frame, np.concatenate(counts))
    pq.write_table(pictures, folder / "images.parquet", compression="zstd")
    pq.write_table(category_rows(dataset), folder / "categories.parquet", compression="zstd")
    kept = ("segmentation", "score", "text", "keypoints", "attributes")
    return Written(annotations, left_out(frame.seen, "annotations.parquet", but=kept))


def _annotation_rows(part: Part) -> pa.Table:
    row = pa.array(part.image)
    made = {
        "file_name": pa.array(part.names, pa.string()).take(row),
        "split": pa.array(part.splits, pa.string()).take(row),
        "category_id": pa.array(part.category),
        "area": pa.array(areas(part.annotations, part.images)),
        "iscrowd": pa.array(part.crowds()),
    }
    columns = [
        made[f.name] if f.name in made else part.annotations.column(f.name).cast(f.type)
        for f in ANNOTATION_COLUMNS
    ]
    return pa.table(columns, schema=ANNOTATION_COLUMNS)
