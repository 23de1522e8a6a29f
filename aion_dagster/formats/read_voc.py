"""Pascal VOC folders into label sets."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.errors import LabelError
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, positive_size, split_named
from aion_dagster.formats.shapes import extent, turned_box
from aion_dagster.formats.voc_xml import HOSTILE, UNREADABLE, parsed
from aion_dagster.values import Category, LabelSet, Loss

_BACKGROUND: Final = "background"
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")


_KNOWN: Final = frozenset({"name", "bndbox", "robndbox", "type"})
_DEFAULTS: Final = ("", "0", "Unspecified")
_MASKS: Final = ("SegmentationObject", "SegmentationClass")


@dataclass
class _Seen:
    """What the files read so far have in common, which decides how their numbers are meant."""

    looks_devkit: bool = True
    categories: set[str] = field(default_factory=set)


def read_voc(root: Path, files: Sequence[Path]) -> LabelSet:
    """VOC annotation files as a label set.

    Coordinates are taken as the devkit's (counted from 1, last pixel inside) where all of them are whole numbers from
    1 on, else as 0-based; `export.json` of an own export decides where it is there. What an object says beside its box
    (`difficult`, `truncated`, `pose`, …) is kept as attributes; its parts, points and actions, and masks in pictures of
    their own, are losses. A turned box (`robndbox`) becomes the polygon of its corners. A file that is no VOC annotation
    is a loss.

    Args:
        root: the folder that was asked for; names in losses are relative to it.
        files: its XML files, sorted.

    Raises:
        LabelError: none of the files is a VOC annotation, or one of them is hostile XML (entities, DTD).
    """
    rows = LabelRows()
    splits = _splits(root)
    seen = _Seen()
    read = 0
    for path in files:
        label_file = path.relative_to(root).as_posix()
        document = _document(path, label_file, rows)
        if document is None:
            continue
        read += 1
        inside = _inside_annotations(label_file)
        name = (document.findtext("filename") or "").strip().replace("\\", "/") or inside
        size = positive_size(document.findtext("size/width"), document.findtext("size/height"))
        image = rows.add_image(name, label_file, size=size, split=splits.get(inside))
        _add_objects(document, image, label_file, rows, seen)
    if not read:
        raise LabelError(f"{root}: expected Pascal VOC files, Annotations/….xml with <annotation>")
    for name in _MASKS:
        if (root / name).is_dir():
            rows.lose("dropped", name, "masks in pictures of their own are not read")
    labels = rows.label_set([Category(n, "") for n in _class_order(root, seen.categories)])
    return _placed(labels, devkit=_is_devkit(root, seen))


def _document(path: Path, label_file: str, rows: LabelRows) -> Element | None:
    try:
        document = parsed(path)
    except HOSTILE as error:
        raise LabelError(
            f"{path}: XML that declares entities is not read ({type(error).__name__}); remove the declaration"
        ) from error
    except UNREADABLE as error:
        rows.lose("invalid", label_file, f"not a whole XML file ({type(error).__name__})")
        return None
    if document.tag != "annotation":
        rows.lose("invalid", label_file, "no <annotation> in it")
        return None
    return document


def _add_objects(
    document: Element, image: int, label_file: str, rows: LabelRows, seen: _Seen
) -> None:
    """The objects of a file, their boxes as if counted from 0 with the last pixel outside."""
    for place, item in enumerate(document.findall("object"), start=1):
        subject = f"{label_file}: object {place}"
        name = (item.findtext("name") or "").strip()
        extra = _extra(item, subject, rows)
        if item.find("robndbox") is not None:
            _add_turned(item, image, name, subject, extra, rows)
            seen.categories |= {name} - {""}
            continue
        sides = item.find("bndbox")
        texts = [] if sides is None else [(sides.findtext(s) or "").strip() for s in _SIDES]
        try:
            x0, y0, x1, y1 = map(float, texts)
        except ValueError:
            rows.lose("invalid", subject, "its bndbox is not four numbers")
            continue
        if not name or not all(map(math.isfinite, (x0, y0, x1, y1))):
            rows.lose("invalid", subject, "no name, or a coordinate that is not finite")
            continue
        if x1 < x0 or y1 < y0:
            rows.lose("converted", subject, "its corners were swapped")
            (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        seen.looks_devkit &= min(x0, y0) >= 1 and all(t.lstrip("+-").isdigit() for t in texts)
        seen.categories.add(name)
        box = (x0, y0, x1 - x0, y1 - y0)
        rows.add(AnnotationRow(image, name, box, subject, attributes=extra))


def _extra(item: Element, subject: str, rows: LabelRows) -> dict[str, Any]:
    """What an object says beside its box; what is more than a text is a loss."""
    extra: dict[str, Any] = {}
    nested: dict[str, int] = {}
    for child in item:
        text = (child.text or "").strip()
        if child.tag in _KNOWN:
            continue
        if len(child):
            nested[child.tag] = nested.get(child.tag, 0) + 1
        elif text not in _DEFAULTS:
            extra[child.tag] = True if text == "1" else text
    for tag, count in nested.items():
        rows.lose("dropped", subject, f"{count} times <{tag}>: not read")
    return extra


def _add_turned(
    item: Element, image: int, name: str, subject: str, extra: dict[str, Any], rows: LabelRows
) -> None:
    texts = [item.findtext(f"robndbox/{part}") or "" for part in ("cx", "cy", "w", "h", "angle")]
    try:
        cx, cy, w, h, angle = map(float, texts)
    except ValueError:
        rows.lose("invalid", subject, "its robndbox is not five numbers")
        return
    if not name or not all(map(math.isfinite, (cx, cy, w, h, angle))) or w <= 0 or h <= 0:
        rows.lose("invalid", subject, "no name, or its robndbox has no width or height")
        return
    corners = turned_box((cx - w / 2, cy - h / 2, w, h), math.degrees(angle))
    outline = {"polygons": [corners], "rle": None}
    extra = {**extra, "rotation": math.degrees(angle)}
    rows.lose(
        "converted", subject, "turned; kept as the polygon of its corners and the box around them"
    )
    box = extent(corners)
    rows.add(AnnotationRow(image, name, box, subject, segmentation=outline, attributes=extra))


def _placed(labels: LabelSet, *, devkit: bool) -> LabelSet:
    """The labels with boxes as their files mean them; those that then have no width or height are losses."""
    table = labels.annotations
    bbox = table["bbox"].combine_chunks()
    sides = [np.array(pc.struct_field(bbox, side)) for side in "xywh"]
    plain = table["segmentation"].is_null().to_numpy()  # not those that were turned
    if devkit:
        sides = [s + np.where(plain, by, 0) for s, by in zip(sides, (-1, -1, 1, 1), strict=True)]
    good = (sides[2] > 0) & (sides[3] > 0)
    boxes = pa.StructArray.from_arrays([pa.array(s) for s in sides], fields=list(schemas.BBOX))
    place = table.schema.get_field_index("bbox")
    kept = table.set_column(place, table.schema.field("bbox"), boxes).filter(pa.array(good))
    bad = table["origin_ref"].filter(pa.array(~good)).to_pylist()
    losses = [Loss("invalid", subject, "its box has no width or height") for subject in bad]
    return replace(labels, annotations=kept, losses=(*labels.losses, *losses))


def _is_devkit(root: Path, seen: _Seen) -> bool:
    for folder in (root, root.parent):
        facts = _own_export(folder / "export.json")
        if facts is not None:
            return facts == "devkit"
    return seen.looks_devkit


def _own_export(path: Path) -> str | None:
    """The coordinates that our own export says it has; None where there is no such file."""
    try:
        facts: Any = json.loads(path.read_bytes())
        coordinates = facts["options"]["coordinates"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return coordinates if coordinates in ("devkit", "float0") else None


def _inside_annotations(label_file: str) -> str:
    """The VOC id: the path below the folder of annotations, without extension."""
    parts = label_file.removesuffix(".xml").split("/")
    for place, part in enumerate(parts[:-1]):
        if part.lower() in ("annotations", "xmls"):
            return "/".join(parts[place + 1 :])
    return "/".join(parts)


def _splits(root: Path) -> dict[str, str]:
    """The split of every id that ImageSets/Main/{train,val,test}.txt names."""
    splits: dict[str, str] = {}
    for base in (root, root.parent, *sorted(root.glob("*/")), *sorted(root.glob("*/*/"))):
        for path in sorted((base / "ImageSets" / "Main").glob("*.txt")):
            split = split_named(path.stem)
            if split is None or path.stem.lower() not in ("train", "val", "valid", "test"):
                continue  # lists of one class, and trainval
            for line in path.read_text(encoding="utf-8-sig", errors="replace").split("\n"):
                if line.strip():
                    splits.setdefault(line.strip(), split)
    return splits


def _class_order(root: Path, found: Collection[str]) -> list[str]:
    """The label map's order where there is one, then the names."""
    order: dict[str, None] = {}
    for folder in (root, root.parent):
        path = folder / "labelmap.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            labels = (line.split(":")[0].strip() for line in lines if not line.startswith("#"))
            order = dict.fromkeys(label for label in labels if label and label != _BACKGROUND)
            break
    return list(order | dict.fromkeys(sorted(found)))
