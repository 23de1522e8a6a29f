"""COCO label files into label sets, forgiving about rows, strict about the file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from aion_dagster.errors import LabelError
from aion_dagster.formats.boxes import usable_polygon
from aion_dagster.formats.label_rows import (
    AnnotationRow,
    Box,
    LabelRows,
    positive_size,
    split_named,
)
from aion_dagster.formats.masks import decode_counts, encode_counts
from aion_dagster.values import Category, LabelSet

_FARTHEST: Final = 1e6
"""A polygon's coordinates stay below this many pixels; beyond it a file is wrong, and its area costly."""


class _BadValueError(ValueError):
    """A value of a row that cannot be used; the text is for the loss report."""


def load_json(path: Path) -> Any:
    """The content of a JSON file; NaN and Infinity, which Python's json writes, are read.

    Raises:
        LabelError: the file cannot be read or is not JSON.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # byte order mark, NaN, very large numbers: slower, and more forgiving
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LabelError(
            f"{path}: not a whole JSON file ({error}); export it again, it may be cut off"
        ) from error


def is_coco(content: Any) -> bool:
    """Whether JSON content looks like COCO: an object with lists of images and annotations."""
    return isinstance(content, dict) and isinstance(content.get("images"), list)


def read_coco(content: Any, label_file: str) -> LabelSet:
    """One COCO file as a label set.

    Ids may be any JSON value, begin anywhere and have gaps; `area` is not read (it is computed when written) and
    `iscrowd` may be missing. A row that cannot be used is a loss that names it.

    Args:
        content: the parsed JSON.
        label_file: the name of the file in losses and `origin_ref`.

    Raises:
        LabelError: the content is no COCO object.
    """
    if not is_coco(content):
        raise LabelError(
            f"{label_file}: expected a COCO object with the lists images, annotations and categories"
        )
    rows = LabelRows()
    names, categories = _categories(content.get("categories"), rows, label_file)
    images = _images(content["images"], rows, label_file)
    annotations = content.get("annotations")
    if not isinstance(annotations, list):
        rows.lose("invalid", label_file, "it has no list of annotations: every picture is empty")
        annotations = []
    subjects = _subjects(annotations, rows, label_file)
    captions = 0
    for annotation, subject in zip(annotations, subjects, strict=True):
        if isinstance(annotation, dict) and "caption" in annotation and "bbox" not in annotation:
            captions += 1
            continue
        try:
            rows.add(_annotation(annotation, subject, images, names, rows))
        except _BadValueError as error:
            rows.lose("invalid", subject, str(error))
    if captions:
        rows.lose("dropped", label_file, f"{captions} captions: only boxes and masks are read")
    return rows.label_set(categories)


def _key(value: Any) -> Hashable:
    """An id as a key; numbers that JSON tells apart (1 and 1.0) are one, lists and objects are written out."""
    return value if isinstance(value, (int, float, str)) else json.dumps(value)


def _categories(
    listed: Any, rows: LabelRows, label_file: str
) -> tuple[dict[Hashable, str], list[Category]]:
    """Category names by id, and the classes in the order of their ids."""
    entries = [c for c in listed or [] if isinstance(c, dict)] if isinstance(listed, list) else []
    if not entries:
        rows.lose("invalid", label_file, "it has no categories")
    if all(isinstance(c.get("id"), int) for c in entries):
        entries = sorted(entries, key=lambda c: int(c["id"]))
    names: dict[Hashable, str] = {}
    found: dict[str, Category] = {}
    for entry in entries:
        name = entry.get("name")
        if "id" not in entry or not isinstance(name, (str, int)) or not str(name).strip():
            rows.lose("invalid", f"{label_file}: categories", f"no id or name: {_shown(entry)}")
            continue
        if str(name) in found:
            rows.lose("ambiguous", f"{label_file}: category {name}", "two ids have this name")
        parent = entry.get("supercategory")
        found.setdefault(str(name), Category(str(name), parent if isinstance(parent, str) else ""))
        if names.setdefault(_key(entry["id"]), str(name)) != str(name):
            rows.lose("ambiguous", f"{label_file}: category {name}", "its id is taken")
    return names, list(found.values())


def _images(
    listed: Sequence[Any], rows: LabelRows, label_file: str
) -> dict[Hashable, tuple[int, tuple[int | None, int | None]]]:
    """Number and size of every picture by its id."""
    split = split_named(*reversed(Path(label_file).parts))
    images: dict[Hashable, tuple[int, tuple[int | None, int | None]]] = {}
    for place, entry in enumerate(listed):
        subject = f"{label_file}: images[{place}]"
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or "id" not in entry:
            rows.lose("invalid", subject, "a picture without id or file_name")
            continue
        if _key(entry["id"]) in images:
            detail = f"{name}: its id {_shown(entry['id'])} is taken by another picture"
            rows.lose("ambiguous", subject, detail)
            continue
        size = positive_size(entry.get("width"), entry.get("height"))
        number = rows.add_image(name.replace("\\", "/"), label_file, size=size, split=split)
        images[_key(entry["id"])] = (number, size)
    return images


def _subjects(annotations: Sequence[Any], rows: LabelRows, label_file: str) -> list[str]:
    """A name for every annotation: its id where that is its own, else its place."""
    ids = [a.get("id") if isinstance(a, dict) else None for a in annotations]
    count = Counter(i for i in ids if isinstance(i, (int, str)))
    for twice in [i for i, n in count.items() if n > 1]:
        detail = f"{count[twice]} annotations have this id; each is kept under its place"
        rows.lose("renamed", f"{label_file}: annotation {twice}", detail)
    return [
        f"{label_file}: annotation {i}"
        if isinstance(i, (int, str)) and count[i] == 1
        else f"{label_file}: annotations[{place}]"
        for place, i in enumerate(ids)
    ]


def _annotation(
    entry: Any,
    subject: str,
    images: Mapping[Hashable, tuple[int, tuple[int | None, int | None]]],
    names: Mapping[Hashable, str],
    rows: LabelRows,
) -> AnnotationRow:
    if not isinstance(entry, dict):
        raise _BadValueError("not an object")
    image = images.get(_key(entry.get("image_id")))
    if image is None:
        raise _BadValueError(f"its picture {_shown(entry.get('image_id'))} is not in the file")
    category = names.get(_key(entry.get("category_id")))
    if category is None:
        raise _BadValueError(f"its category {_shown(entry.get('category_id'))} is not in the file")
    mask = _mask(entry.get("segmentation"), image[1], subject, rows)
    extra = entry.get("attributes")
    extra = extra if isinstance(extra, dict) else {}
    text = extra.get("text")
    return AnnotationRow(
        label_image=image[0],
        category=category,
        box=_box(entry.get("bbox"), mask),
        origin_ref=subject,
        segmentation=mask,
        iscrowd=entry.get("iscrowd") in (1, True, "1"),
        score=_score(entry.get("score", extra.get("score"))),
        text=text if isinstance(text, str) else None,
    )


def _box(value: Any, mask: Mapping[str, Any] | None) -> Box:
    if value is None and mask is not None and mask["polygons"]:
        numbers = [[v for ring in mask["polygons"] for v in ring[axis::2]] for axis in (0, 1)]
        (left, right), (top, bottom) = ((min(n), max(n)) for n in numbers)
        value = [left, top, right - left, bottom - top]
    try:
        x, y, w, h = (float(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        raise _BadValueError(f"its bbox is not four numbers: {_shown(value)}") from None
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(w) and math.isfinite(h)):
        raise _BadValueError(f"its bbox is not finite: {[x, y, w, h]}")
    if w <= 0 or h <= 0:
        raise _BadValueError(f"its bbox has no width or height: {[x, y, w, h]}")
    return x, y, w, h


def _score(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and abs(value) < 1e30
    return float(value) if usable else None


def _mask(
    value: Any, size: tuple[int | None, int | None], subject: str, rows: LabelRows
) -> Mapping[str, Any] | None:
    """The annotation's mask as `schemas.SEGMENTATION`; what cannot be used of it is a loss, its box stays."""
    if not value:
        return None
    try:
        if isinstance(value, dict):
            return {"polygons": None, "rle": _rle(value, size)}
        rings = _rings(value)
    except _BadValueError as error:
        rows.lose("invalid", subject, f"{error}; its box is kept")
        return None
    kept = [ring for ring in rings if usable_polygon(ring) and _is_near(ring)]
    if len(kept) < len(rings):
        detail = f"{len(rings) - len(kept)} of its {len(rings)} polygons cannot be used; the rest is kept"
        rows.lose("invalid", subject, detail)
    return {"polygons": kept, "rle": None} if kept else None


def _is_near(ring: list[float]) -> bool:
    return max(ring) < _FARTHEST and min(ring) > -_FARTHEST


def _rings(value: Any) -> list[list[float]]:
    try:
        if isinstance(value[0], list):
            return [[float(v) for v in ring] for ring in value]
        return [[float(v) for v in value]]  # a polygon that is not nested
    except (TypeError, ValueError, KeyError, OverflowError):
        raise _BadValueError("its segmentation is not lists of numbers") from None


def _rle(value: Mapping[str, Any], size: tuple[int | None, int | None]) -> dict[str, Any]:
    """A run-length code as compressed string; plain counts are compressed."""
    try:
        height, width = (int(v) for v in value["size"])
        counts = value["counts"]
        runs = (
            decode_counts(counts).tolist() if isinstance(counts, str) else [int(c) for c in counts]
        )
    except (TypeError, ValueError, KeyError, OverflowError):
        raise _BadValueError("its run-length code cannot be read") from None
    if size != (None, None) and (width, height) != size:
        raise _BadValueError(f"its mask is {width}×{height}, its picture {size[0]}×{size[1]}")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise _BadValueError(f"its run-length code does not add up to {width}×{height} pixels")
    text = counts if isinstance(counts, str) else encode_counts(runs)
    return {"height": height, "width": width, "counts": text}


def _shown(value: Any) -> str:
    """A value from outside, short enough for a report."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
