"""COCO annotations one by one: every way in which one can be odd, and what is kept of it then."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aion_dagster.formats.boxes import usable_polygon
from aion_dagster.formats.label_rows import AnnotationRow, Box
from aion_dagster.formats.masks import decode_counts, encode_counts
from aion_dagster.formats.shapes import extent

FARTHEST: Final = 1e6
"""A polygon's coordinates stay below this many pixels; beyond it a file is wrong, and its area costly."""
LARGEST_MASK: Final = 1 << 31
"""Pixels of a mask from which on a file is wrong."""
LARGEST_SCORE: Final = 1e30
"""From here on a score is no number that 32 bits hold."""
TRUE: Final = (1, True, "1")
KNOWN: Final = frozenset(
    {
        "id",
        "image_id",
        "category_id",
        "bbox",
        "area",
        "iscrowd",
        "segmentation",
        "score",
        "keypoints",
        "num_keypoints",
        "caption",
        "attributes",
    }
)
"""What an annotation has by the format's definition; what else it has is kept among its attributes."""

Size = tuple[int | None, int | None]
Lose = Callable[[str, str], None]


class BadValueError(ValueError):
    """A value of a row that cannot be used; the text is for the loss report."""


@dataclass(frozen=True)
class CocoFile:
    """What annotations refer to: image id → number, number → size, category id → name."""

    images: Mapping[Hashable, int]
    sizes: Sequence[Size]
    names: Mapping[Hashable, str]


def id_key(value: Any) -> Hashable:
    """An id as a key; numbers that JSON tells apart (1 and 1.0) are one, lists and objects are written out."""
    return value if isinstance(value, (int, float, str)) else json.dumps(value)


def shown(value: Any) -> str:
    """A value from outside, short enough for a report."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def annotation_row(entry: Any, file: CocoFile, lose: Lose) -> AnnotationRow:
    """One annotation; `lose` is called with kind and detail of what is not kept as it was. `origin_ref` is empty.

    Raises:
        BadValueError: it cannot be used.
    """
    if not isinstance(entry, dict):
        raise BadValueError("not an object")
    image = file.images.get(id_key(entry.get("image_id")))
    if image is None:
        raise BadValueError(f"its picture {shown(entry.get('image_id'))} is not in the file")
    if "caption" in entry and "bbox" not in entry:
        return _caption(entry, image)
    category = file.names.get(id_key(entry.get("category_id")))
    if category is None:
        raise BadValueError(f"its category {shown(entry.get('category_id'))} is not in the file")
    mask = _mask(entry.get("segmentation"), file.sizes[image], lose)
    extra = attributes(entry)
    text = extra.pop("text") if isinstance(extra.get("text"), str) else None
    return AnnotationRow(
        label_image=image,
        category=category,
        box=_box(entry.get("bbox"), mask),
        origin_ref="",
        segmentation=mask,
        iscrowd=entry.get("iscrowd") in TRUE,
        score=_score(entry["score"] if "score" in entry else extra.pop("score", None), lose),
        text=text,
        keypoints=_keypoints(entry.get("keypoints"), lose),
        attributes=extra,
    )


def attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Whatever else an annotation says."""
    rest = {k: v for k, v in entry.items() if k not in KNOWN}
    own = entry.get("attributes")
    if isinstance(own, dict):
        return {**rest, **own}
    return rest | {"attributes": own} if own else rest


def _caption(entry: Mapping[str, Any], image: int) -> AnnotationRow:
    text = entry["caption"]
    if not isinstance(text, str):
        raise BadValueError(f"its caption is no text: {shown(text)}")
    extra = attributes(entry)
    extra |= {k: entry[k] for k in ("category_id", "score") if entry.get(k) is not None}
    return AnnotationRow(image, None, None, "", text=text, origin="captions", attributes=extra)


def _box(value: Any, mask: Mapping[str, Any] | None) -> Box:
    if not value and value != 0 and mask is not None:
        value = _around(mask)
    try:
        x, y, w, h = (float(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        raise BadValueError(f"its bbox is not four numbers: {shown(value)}") from None
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(w) and math.isfinite(h)):
        raise BadValueError(f"its bbox is not finite: {[x, y, w, h]}")
    if w <= 0 or h <= 0:
        raise BadValueError(f"its bbox has no width or height: {[x, y, w, h]}")
    return x, y, w, h


def _around(mask: Mapping[str, Any]) -> Box | None:
    """The box around a mask; None where it covers nothing."""
    if mask["polygons"]:
        return extent([v for ring in mask["polygons"] for v in ring])
    height = mask["rle"]["height"]
    runs = decode_counts(mask["rle"]["counts"])
    ends = np.cumsum(runs)
    starts, ends = (ends - runs)[1::2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return None
    first, last = starts // height, (ends - 1) // height
    within = first == last  # a run over several columns reaches from edge to edge
    top = int(np.where(within, starts % height, 0).min())
    bottom = int(np.where(within, (ends - 1) % height, height - 1).max()) + 1
    left, right = int(first.min()), int(last.max()) + 1
    return float(left), float(top), float(right - left), float(bottom - top)


def _score(value: Any, lose: Lose) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and abs(value) < LARGEST_SCORE:
        return float(value)
    lose("invalid", f"its score cannot be used: {shown(value)}")
    return None


def _keypoints(value: Any, lose: Lose) -> list[float] | None:
    if not value:
        return None
    try:
        numbers = [float(v) for v in value]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if not numbers or len(numbers) % 3 or not all(map(math.isfinite, numbers)):
        lose(
            "invalid", f"its keypoints are not triples of numbers: {shown(value)}; the box is kept"
        )
        return None
    return numbers


def _mask(value: Any, size: Size, lose: Lose) -> Mapping[str, Any] | None:
    """The annotation's mask as `schemas.SEGMENTATION`; what cannot be used of it is a loss, its box stays."""
    if not value:
        return None
    try:
        if isinstance(value, dict):
            return {"polygons": None, "rle": run_lengths(value, size)}
        rings = _rings(value)
    except BadValueError as error:
        lose("invalid", f"{error}; its box is kept")
        return None
    kept = [ring for ring in rings if usable_polygon(ring) and _is_near(ring)]
    if len(kept) < len(rings):
        lose(
            "invalid",
            f"{len(rings) - len(kept)} of its {len(rings)} polygons cannot be used; the rest is kept",
        )
    return {"polygons": kept, "rle": None} if kept else None


def _is_near(ring: list[float]) -> bool:
    return max(ring) < FARTHEST and min(ring) > -FARTHEST


def _rings(value: Any) -> list[list[float]]:
    try:
        if isinstance(value[0], list):
            return [[float(v) for v in ring] for ring in value]
        return [[float(v) for v in value]]  # a polygon that is not nested
    except (TypeError, ValueError, KeyError, OverflowError):
        raise BadValueError("its segmentation is not lists of numbers") from None


def run_lengths(value: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """A run-length code as compressed string; plain counts are compressed.

    Raises:
        BadValueError: it cannot be read, or does not fill a picture of this size.
    """
    try:
        height, width = (int(v) for v in value["size"])
        counts = value["counts"]
        runs = (
            decode_counts(counts).tolist() if isinstance(counts, str) else [int(c) for c in counts]
        )
    except (TypeError, ValueError, KeyError, OverflowError):
        raise BadValueError("its run-length code cannot be read") from None
    if size != (None, None) and (width, height) != size:
        raise BadValueError(f"its mask is {width}×{height}, its picture {size[0]}×{size[1]}")
    if min(width, height) < 1 or width * height >= LARGEST_MASK:
        raise BadValueError(f"its mask is {width}×{height}")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise BadValueError(f"its run-length code does not add up to {width}×{height} pixels")
    text = counts if isinstance(counts, str) else encode_counts(runs)
    return {"height": height, "width": width, "counts": text}
