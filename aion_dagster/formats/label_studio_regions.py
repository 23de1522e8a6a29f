"""The regions of Label Studio: shapes in percent of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aion_dagster.formats.label_rows import Box
from aion_dagster.formats.label_studio_values import BadValueError, Frame, brush_mask, number
from aion_dagster.formats.shapes import ellipse, extent, placed_mask, turned_box

__all__ = ["BadValueError", "Region", "labels_of", "read_region"]

_LABELS: Final = (
    "rectanglelabels",
    "polygonlabels",
    "brushlabels",
    "ellipselabels",
    "keypointlabels",
    "labels",
)


@dataclass(frozen=True)
class Region:
    """A region as annotations have it, in pixels; `converted` says what it was, where it was something else."""

    box: Box
    mask: Mapping[str, Any] | None = None
    keypoints: Sequence[float] | None = None
    score: float | None = None
    text: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    converted: str = ""


def labels_of(result: Mapping[str, Any]) -> list[str]:
    """The labels of a region, wherever they stand: in its value, or in a result of their own about it."""
    found: dict[str, None] = {}
    for part in (result, *result.get("parts", ())):
        for key in _LABELS:
            listed = part["value"].get(key)
            for label in listed if isinstance(listed, list) else []:
                if isinstance(label, str) and label.strip():
                    found.setdefault(label)
    return list(found)


def read_region(
    kind: str, result: Mapping[str, Any], size: tuple[int | None, int | None]
) -> Region:
    """One region; `size` is that of the picture.

    Raises:
        BadValueError: it cannot be used.
    """
    if size[0] is None or size[1] is None:
        raise BadValueError("the export does not say the size of the picture (original_width)")
    turned = result.get("image_rotation") or 0
    if turned:
        raise BadValueError(
            f"the picture was turned by {turned}° in the editor; turn it back there"
        )
    frame, value = Frame(size[0], size[1]), result["value"]
    readers = {
        "rectangle": _rectangle,
        "polygon": _polygon,
        "ellipse": _ellipse,
        "brush": _brush,
        "keypoint": _keypoint,
    }
    region = readers[kind](value, frame)
    if region.box[2] <= 0 or region.box[3] <= 0:
        raise BadValueError("it has no width or height")
    extra = {**region.extra, **_said(result)}
    score = result.get("score")
    return Region(
        region.box,
        region.mask,
        region.keypoints,
        float(score) if isinstance(score, (int, float)) and abs(score) < 1e30 else None,
        _text(result),
        extra,
        region.converted,
    )


def _said(result: Mapping[str, Any]) -> dict[str, Any]:
    """Choices about the region, and what annotators noted."""
    extra: dict[str, Any] = {}
    for part in result.get("parts", ()):
        if part.get("type") == "choices":
            extra[str(part.get("from_name") or "choices")] = part["value"].get("choices")
    meta = result.get("meta")
    if isinstance(meta, dict) and meta:
        extra["meta"] = meta
    return extra


def _text(result: Mapping[str, Any]) -> str | None:
    """The text of a region (transcription)."""
    found: list[str] = []
    for part in (result, *result.get("parts", ())):
        text = part["value"].get("text")
        found += [t for t in (text if isinstance(text, list) else [text]) if isinstance(t, str)]
    return "\n".join(found) or None


def _rectangle(value: Mapping[str, Any], frame: Frame) -> Region:
    numbers = [number(value.get(k), k) for k in ("x", "y", "width", "height")]
    x, y, w, h = frame.points(numbers)
    degrees = number(value.get("rotation") or 0, "rotation") % 360
    if not degrees or w <= 0 or h <= 0:
        return Region((x, y, w, h))
    corners = turned_box((x, y, w, h), degrees, (x, y))
    return Region(
        extent(corners),
        {"polygons": [corners], "rle": None},
        extra={"rotation": degrees},
        converted=f"turned by {degrees:g}°; kept as the polygon of its corners and the box around them",
    )


def _polygon(value: Mapping[str, Any], frame: Frame) -> Region:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise BadValueError("its points are not pairs of numbers")
    if value.get("closed") is False:
        raise BadValueError("an open polygon is no outline")
    numbers = frame.points([number(v, "point") for p in points for v in p])
    if len(numbers) < 6:
        raise BadValueError("a polygon of fewer than three points")
    return Region(extent(numbers), {"polygons": [numbers], "rle": None})


def _ellipse(value: Mapping[str, Any], frame: Frame) -> Region:
    numbers = [number(value.get(k), k) for k in ("x", "y", "radiusX", "radiusY")]
    cx, cy, rx, ry = frame.points(numbers)
    outline = ellipse(cx, cy, rx, ry, number(value.get("rotation") or 0, "rotation"))
    return Region(
        extent(outline),
        {"polygons": [outline], "rle": None},
        extra={"ellipse": [cx, cy, rx, ry]},
        converted=f"kept as a polygon of {len(outline) // 2} corners",
    )


def _brush(value: Mapping[str, Any], frame: Frame) -> Region:
    if value.get("format", "rle") != "rle" or "rle" not in value:
        raise BadValueError("its brush strokes are not a run-length code")
    drawn = brush_mask(value["rle"], frame)
    try:
        mask, box = placed_mask(drawn, 0, 0, frame.width, frame.height)
    except ValueError as error:
        raise BadValueError(str(error)) from None
    return Region(box, mask)


def _keypoint(value: Mapping[str, Any], frame: Frame) -> Region:
    """A point, and the square that its dot covers in the editor: a box without area would be nowhere."""
    x, y = frame.points([number(value.get(k), k) for k in ("x", "y")])
    side = max(number(value.get("width") or 0, "width") * frame.width / 100, 1.0)
    return Region(
        (x - side / 2, y - side / 2, side, side),
        keypoints=[x, y, 2.0],
        converted="a point: kept as a keypoint, with the dot that shows it as its box",
    )
