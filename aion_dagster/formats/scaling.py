"""Annotations of pictures that are written smaller: boxes, polygons, masks and keypoints in the new pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aion_dagster.formats.boxes import Boxes
from aion_dagster.formats.masks import decode_counts, encode_counts

Factors = NDArray[np.float64]


def scaled_annotations(table: pa.Table, boxes: Boxes, factors: Factors) -> tuple[pa.Table, Boxes]:
    """Annotations and their boxes times `factors` (n, 2), of x and of y."""
    across, down = factors[:, 0], factors[:, 1]
    scaled = Boxes(boxes.x * across, boxes.y * down, boxes.w * across, boxes.h * down)
    sides = [pa.array(side) for side in scaled]
    table = _replaced(table, "bbox", pa.StructArray.from_arrays(sides, names=list("xywh")))
    for name, change in (("segmentation", _segmentation), ("keypoints", _keypoints)):
        column = table.column(name)
        if column.null_count < len(column):
            pairs = zip(column.to_pylist(), factors.tolist(), strict=True)
            changed = [None if v is None else change(v, x, y) for v, (x, y) in pairs]
            table = _replaced(table, name, pa.array(changed, column.type))
    return table, scaled


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def _segmentation(value: dict[str, Any], across: float, down: float) -> dict[str, Any]:
    polygons = value["polygons"]
    if polygons is not None:
        polygons = [
            None if ring is None else [v * (down if i % 2 else across) for i, v in enumerate(ring)]
            for ring in polygons
        ]
    rle = value["rle"]
    if rle is not None and rle["counts"] is not None:
        rle = scaled_rle(rle, across, down)
    return {"polygons": polygons, "rle": rle}


def scaled_rle(rle: dict[str, Any], across: float, down: float) -> dict[str, Any]:
    """A run-length coded mask of other size: each pixel is the one that lay at its middle."""
    height, width = rle["height"], rle["width"]
    runs = decode_counts(rle["counts"])
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    pixels = np.resize(
        np.append(pixels, np.zeros(max(height * width - len(pixels), 0), bool)), height * width
    )
    mask = pixels.reshape(width, height)
    new_width, new_height = max(round(width * across), 1), max(round(height * down), 1)
    columns = np.minimum(((np.arange(new_width) + 0.5) / across).astype(int), width - 1)
    rows = np.minimum(((np.arange(new_height) + 0.5) / down).astype(int), height - 1)
    small = mask[np.ix_(columns, rows)].ravel()
    changes = np.flatnonzero(np.diff(small)) + 1
    counts = np.diff(np.concatenate(([0], changes, [len(small)])))
    if len(small) and small[0]:
        counts = np.concatenate(([0], counts))
    return {"height": new_height, "width": new_width, "counts": encode_counts(counts.tolist())}


def _keypoints(value: list[float], across: float, down: float) -> list[float]:
    factors = (across, down, 1.0)
    return [v * factors[i % 3] for i, v in enumerate(value)]
