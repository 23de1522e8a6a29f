"""Polygons cut at the borders of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Point = tuple[float, float]


def clip_polygon(polygon: Sequence[float], width: float, height: float) -> list[float]:
    """The part of a polygon x1, y1, x2, y2, … that lies inside 0 … width, 0 … height; empty if none does.

    Sutherland, Hodgman, "Reentrant polygon clipping", CACM 17 (1974), against the four borders.
    """
    points: list[Point] = list(zip(polygon[0::2], polygon[1::2], strict=True))
    for axis, limit, side in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        points = _cut(points, axis, limit, side)
    return [value for point in points for value in point] if len(points) > 2 else []


def _cut(points: Sequence[Point], axis: int, limit: float, side: int) -> list[Point]:
    """The points on the kept side of one border, with those where the outline crosses it."""
    kept: list[Point] = []
    for i, point in enumerate(points):
        before = points[i - 1]
        inside, was_inside = (
            side * point[axis] >= side * limit,
            side * before[axis] >= side * limit,
        )
        if inside != was_inside:
            share = (limit - before[axis]) / (point[axis] - before[axis])
            other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if inside:
            kept.append(point)
    return kept


def inside(outline: dict[str, Any], width: float, height: float) -> dict[str, Any] | None:
    """A segmentation with its polygons cut at the picture's borders; None if nothing is left of it."""
    polygons = [
        polygon if _fits(polygon, width, height) else clip_polygon(polygon, width, height)
        for polygon in outline["polygons"] or ()
    ]
    polygons = [p for p in polygons if len(p) >= 6]
    rle = outline["rle"]
    return {"polygons": polygons or None, "rle": rle} if polygons or rle else None


def extent(outline: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """The box x, y, w, h around all polygons of a segmentation; None where it has none."""
    polygons = [p for p in outline["polygons"] or () if len(p) >= 2]
    if not polygons:
        return None
    xs = [v for p in polygons for v in p[0::2]]
    ys = [v for p in polygons for v in p[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _fits(polygon: Sequence[float], width: float, height: float) -> bool:
    return all(0 <= v <= (height if i % 2 else width) for i, v in enumerate(polygon))
