"""Boxes as models give them, made safe: finite, clipped to the picture, with an area."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """A box x, y, w, h in pixels of the picture given; `score` 0–1, None where the model gives none."""

    label: str
    x: float
    y: float
    w: float
    h: float
    score: float | None = None
    polygon: tuple[float, ...] | None = None


def clipped(
    label: str,
    points: Sequence[float],
    size: tuple[int, int],
    *,
    score: float | None = None,
    is_polygon: bool = False,
) -> FoundRegion | None:
    """The region of points x1, y1, x2, y2, … within a picture of `size` (width, height); None where nothing is left of it."""
    if len(points) < 4 or not all(map(math.isfinite, points)):
        return None
    across = [min(max(float(x), 0.0), float(size[0])) for x in points[0::2]]
    down = [min(max(float(y), 0.0), float(size[1])) for y in points[1::2]]
    left, top = min(across), min(down)
    width, height = max(across) - left, max(down) - top
    if width <= 0 or height <= 0:
        return None
    outline = [v for point in zip(across, down, strict=True) for v in point]
    return FoundRegion(
        label, left, top, width, height, score, tuple(outline) if is_polygon else None
    )
