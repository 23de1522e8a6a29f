"""Boxes as columns: out of Arrow, clipped to their pictures, and their areas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from aion_dagster.formats.masks import Polygons, polygon_areas, rle_area

Floats = NDArray[np.float64]


class Boxes(NamedTuple):
    """Columns of boxes: x, y, w, h in pixels, origin at the top left."""

    x: Floats
    y: Floats
    w: Floats
    h: Floats


class ClippedBoxes(NamedTuple):
    """Boxes inside their pictures; `kept` is False where nothing is left, `changed` True where a side moved."""

    x: Floats
    y: Floats
    w: Floats
    h: Floats
    kept: NDArray[np.bool_]
    changed: NDArray[np.bool_]


def box_columns(annotations: pa.Table) -> Boxes:
    """The `bbox` column as four float64 arrays; NaN where a box or one of its numbers is null."""
    boxes = annotations.column("bbox").combine_chunks()
    fields = (pc.struct_field(boxes, name).fill_null(float("nan")) for name in "xywh")
    return Boxes(*(np.asarray(f.to_numpy(zero_copy_only=False), dtype=np.float64) for f in fields))


def clip_box(
    x: ArrayLike, y: ArrayLike, w: ArrayLike, h: ArrayLike, width: ArrayLike, height: ArrayLike
) -> ClippedBoxes:
    """Boxes cut to the picture [0, width] × [0, height].

    All arguments are arrays of one length, scalars or Arrow arrays of numbers, in pixels. A box is not kept if a
    number is not finite, or w or h is ≤ 0 before or after clipping; its columns are then 0.
    """
    left, top, wide, tall = (np.asarray(v, dtype=np.float64) for v in (x, y, w, h))
    with np.errstate(invalid="ignore", over="ignore"):
        right, bottom = left + wide, top + tall
        finite = np.isfinite(right) & np.isfinite(bottom) & np.isfinite(left) & np.isfinite(top)
        x0 = np.clip(left, 0, np.asarray(width, dtype=np.float64))
        y0 = np.clip(top, 0, np.asarray(height, dtype=np.float64))
        x1 = np.clip(right, 0, np.asarray(width, dtype=np.float64))
        y1 = np.clip(bottom, 0, np.asarray(height, dtype=np.float64))
        moved = (x0 != left) | (y0 != top) | (x1 != right) | (y1 != bottom)
        # An untouched box keeps its own numbers: (x + w) - x is not always w.
        w0 = np.where((x0 == left) & (x1 == right), wide, x1 - x0)
        h0 = np.where((y0 == top) & (y1 == bottom), tall, y1 - y0)
        kept = finite & (wide > 0) & (tall > 0) & (w0 > 0) & (h0 > 0)
    x0, y0, w0, h0 = (np.where(kept, side, 0.0) for side in (x0, y0, w0, h0))
    return ClippedBoxes(x0, y0, w0, h0, np.asarray(kept), np.asarray(moved & kept))


def areas(annotations: pa.Table, images: pa.Table | None = None) -> Floats:
    """Area of every annotation in pixels, float64: that of its mask where it has one, else of its box.

    The area of a mask is what pycocotools computes: the pixels of the RLE, or of the union of the rasterised polygons.

    Args:
        annotations: schema `ANNOTATIONS`.
        images: `image_id`, `width`, `height`; where given, polygons count only inside their picture.
    """
    boxes = box_columns(annotations)
    result = boxes.w * boxes.h
    segmentation = annotations.column("segmentation").combine_chunks()
    if segmentation.null_count == len(segmentation):
        return result
    found = _polygons(pc.struct_field(segmentation, "polygons"))
    if found is not None:
        for row, area in polygon_areas(_with_sizes(found, annotations, images)).items():
            result[row] = area
    counts = pc.struct_field(segmentation, ["rle", "counts"])
    for row in np.flatnonzero(counts.is_valid().to_numpy(zero_copy_only=False)).tolist():
        result[row] = rle_area(counts[row].as_py())
    return result


def usable_polygon(numbers: list[float]) -> bool:
    """Whether a polygon has at least three points, an even count, and only finite numbers."""
    return len(numbers) >= 6 and len(numbers) % 2 == 0 and bool(np.isfinite(numbers).all())


def _polygons(column: pa.Array) -> Polygons | None:
    """The usable polygons of a list<list<double>> column; sizes are not known yet."""
    parts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    rings = pc.list_flatten(column)
    lengths = pc.list_value_length(rings).fill_null(0).to_numpy(zero_copy_only=False)
    numbers = np.asarray(
        pc.list_flatten(rings).fill_null(float("nan")).to_numpy(zero_copy_only=False),
        dtype=np.float64,
    )
    lengths = lengths.astype(np.int64)
    ring = np.repeat(np.arange(len(lengths)), lengths)
    broken = np.bincount(ring, weights=~np.isfinite(numbers), minlength=len(lengths)) > 0
    usable = (lengths >= 6) & (lengths % 2 == 0) & ~broken
    if not usable.any():
        return None
    owners = np.repeat(np.arange(len(parts)), parts)[usable]
    unknown = np.zeros(len(owners), dtype=np.int64)
    points = numbers[np.repeat(usable, lengths)].reshape(-1, 2)
    return Polygons(points, lengths[usable] // 2, owners, unknown, unknown)


def _with_sizes(found: Polygons, annotations: pa.Table, images: pa.Table | None) -> Polygons:
    if images is None:
        first = np.cumsum(found.lengths) - found.lengths
        reach = np.maximum(np.ceil(np.maximum.reduceat(found.points, first)), 0).astype(int) + 1
        order = np.zeros((int(found.owners.max()) + 1, 2), dtype=np.int64)
        np.maximum.at(order, found.owners, reach)
        sizes = order[found.owners]
        return Polygons(found.points, found.lengths, found.owners, sizes[:, 1], sizes[:, 0])
    row = pc.index_in(annotations.column("image_id"), images.column("image_id").combine_chunks())
    row = row.fill_null(-1).to_numpy()[found.owners]
    height, width = (
        np.append(images.column(name).to_numpy().astype(np.int64), 0)[row]
        for name in ("height", "width")
    )
    return Polygons(found.points, found.lengths, found.owners, height, width)
