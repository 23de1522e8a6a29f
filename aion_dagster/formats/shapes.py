"""Shapes that labelling tools know and annotations do not: turned boxes, ellipses, masks of a part of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aion_dagster.formats.label_rows import Box
from aion_dagster.formats.masks import encode_counts

ELLIPSE_POINTS: Final = 36
"""Corners of the polygon that stands for an ellipse: it lies within 0.4 % of the radius."""
LARGEST_PICTURE: Final = 1 << 28
"""Pixels of a picture whose masks are decoded."""


def turned_box(box: Box, degrees: float, pivot: tuple[float, float] | None = None) -> list[float]:
    """The corners x1, y1, … of a box turned clockwise about its middle, or another point; all in pixels."""
    x, y, w, h = box
    px, py = pivot or (x + w / 2, y + h / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    return [
        v
        for cx, cy in corners
        for v in (px + (cx - px) * cos - (cy - py) * sin, py + (cx - px) * sin + (cy - py) * cos)
    ]


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> list[float]:
    """A polygon in the place of an ellipse whose axes are turned clockwise."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    angles = [2 * math.pi * i / ELLIPSE_POINTS for i in range(ELLIPSE_POINTS)]
    points = [(rx * math.cos(a), ry * math.sin(a)) for a in angles]
    return [v for x, y in points for v in (cx + x * cos - y * sin, cy + x * sin + y * cos)]


def extent(numbers: Sequence[float]) -> Box:
    """The box around points x1, y1, x2, …"""
    x, y = numbers[0::2], numbers[1::2]
    return min(x), min(y), max(x) - min(x), max(y) - min(y)


def placed_mask(
    part: npt.NDArray[np.bool_], left: int, top: int, width: int, height: int
) -> tuple[dict[str, Any], Box]:
    """A mask of a part of a picture as COCO RLE of the whole one (`schemas.SEGMENTATION`), and the box around it.

    Raises:
        ValueError: it reaches outside the picture, is empty, or the picture is too large.
    """
    tall, wide = part.shape
    if width * height > LARGEST_PICTURE or width < 1 or height < 1:
        raise ValueError(f"a mask of {width}×{height} pixels")
    if left < 0 or top < 0 or left + wide > width or top + tall > height:
        raise ValueError("its mask reaches outside the picture")
    columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
    if not len(columns):
        raise ValueError("its mask is empty")
    whole = np.zeros((wide, height), dtype=bool)  # columns of the picture, as RLE counts them
    whole[:, top : top + tall] = part.T
    flat = whole.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [len(flat)]))).tolist()
    if flat[0]:
        runs.insert(0, 0)
    runs[0] += left * height
    after = (width - left - wide) * height
    if flat[-1]:
        runs += [after] if after else []
    else:
        runs[-1] += after
    box = (left + columns[0], top + rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    rle = {"height": height, "width": width, "counts": encode_counts(runs)}
    return {"polygons": None, "rle": rle}, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))  # fmt: skip
