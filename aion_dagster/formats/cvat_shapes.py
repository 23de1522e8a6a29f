"""The shapes in CVAT's XML: numbers in pixels of the picture, origin at the top left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np

from aion_dagster.formats.label_rows import Box
from aion_dagster.formats.shapes import LARGEST_PICTURE, ellipse, extent, placed_mask, turned_box

SHAPES: Final = frozenset(
    {"box", "polygon", "mask", "ellipse", "skeleton", "polyline", "points", "cuboid"}
)
_NO_PLACE: Final = {
    "polyline": "a line is neither a box nor an outline",
    "points": "points are neither a box nor an outline",
    "cuboid": "a cuboid is neither a box nor an outline",
}


class BadShapeError(ValueError):
    """A shape that cannot be kept; `kind` is that of the loss."""

    def __init__(self, why: str, kind: str = "invalid") -> None:
        """`why` is for the loss report."""
        super().__init__(why)
        self.kind = kind


@dataclass(frozen=True)
class Shape:
    """A shape as annotations have it; `converted` says what it was, where it was something else."""

    box: Box
    mask: Mapping[str, Any] | None = None
    keypoints: Sequence[float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    converted: str = ""


def read_shape(element: Element, size: tuple[int | None, int | None]) -> Shape:
    """The shape that an element says.

    Args:
        element: <box>, <polygon>, …
        size: width and height of its picture, None where they are not known.

    Raises:
        BadShapeError: a number is missing or no number, or annotations have no such shape.
    """
    if element.tag in _NO_PLACE:
        raise BadShapeError(_NO_PLACE[element.tag], "dropped")
    readers = {
        "box": _box,
        "polygon": _polygon,
        "ellipse": _ellipse,
        "skeleton": _skeleton,
    }
    if element.tag == "mask":
        return _mask(element, size)
    return readers[element.tag](element)


def _box(element: Element) -> Shape:
    x0, y0, x1, y1 = (_number(element, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    box = (min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
    degrees = _number(element, "rotation", 0.0) % 360
    if not degrees:
        return Shape(box)
    if box[2] <= 0 or box[3] <= 0:
        raise BadShapeError("it has no width or height")
    corners = turned_box(box, degrees)
    return Shape(
        extent(corners),
        {"polygons": [corners], "rle": None},
        extra={"rotation": degrees},
        converted=f"turned by {degrees:g}°; kept as the polygon of its corners and the box around them",
    )


def _polygon(element: Element) -> Shape:
    numbers = _points(element)
    if len(numbers) < 6:
        raise BadShapeError("a polygon of fewer than three points")
    return Shape(extent(numbers), {"polygons": [numbers], "rle": None})


def _ellipse(element: Element) -> Shape:
    cx, cy, rx, ry = (_number(element, name) for name in ("cx", "cy", "rx", "ry"))
    numbers = ellipse(cx, cy, rx, ry, _number(element, "rotation", 0.0))
    return Shape(
        extent(numbers),
        {"polygons": [numbers], "rle": None},
        extra={"ellipse": [cx, cy, rx, ry]},
        converted=f"kept as a polygon of {len(numbers) // 2} corners",
    )


def _skeleton(element: Element) -> Shape:
    numbers: list[float] = []
    names = []
    for part in element.findall("points"):
        x, y = _points(part)[:2]
        seen = 0 if part.get("outside") == "1" else 1 if part.get("occluded") == "1" else 2
        numbers += [x, y, seen]
        names.append((part.get("label") or "").strip())
    seen_points = [
        v for i in range(0, len(numbers), 3) if numbers[i + 2] for v in numbers[i : i + 2]
    ]
    if not seen_points:
        raise BadShapeError("none of its points is seen")
    return Shape(extent(seen_points), keypoints=numbers, extra={"keypoints": names})


def _mask(element: Element, size: tuple[int | None, int | None]) -> Shape:
    left, top, width, height = (
        int(_number(element, name)) for name in ("left", "top", "width", "height")
    )
    if None in size:
        raise BadShapeError("a mask in a picture whose size the file does not say")
    if not (width > 0 and height > 0 and width * height <= LARGEST_PICTURE):
        raise BadShapeError(f"a mask of {width}×{height} pixels")
    try:
        runs = [int(run) for run in (element.get("rle") or "").split(",")]
    except ValueError:
        raise BadShapeError("its run lengths are not whole numbers") from None
    if min(runs) < 0 or sum(runs) != width * height:
        raise BadShapeError(f"its run lengths do not add up to {width}×{height} pixels")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    try:
        mask, box = placed_mask(part, left, top, size[0] or 0, size[1] or 0)
    except ValueError as error:
        raise BadShapeError(str(error)) from None
    return Shape(box, mask)


def _points(element: Element) -> list[float]:
    pairs = [p.split(",") for p in (element.get("points") or "").split(";")]
    try:
        numbers = [float(v) for x, y in pairs for v in (x, y)]
    except ValueError:
        raise BadShapeError("its points are not pairs of numbers") from None
    if not all(map(math.isfinite, numbers)):
        raise BadShapeError("a coordinate is not finite")
    return numbers


def _number(element: Element, name: str, default: float | None = None) -> float:
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        raise BadShapeError(f"its {name} is no number") from None
    if not abs(value) < 1e9:
        raise BadShapeError(f"its {name} is no coordinate")
    return value
