"""YOLO trees into label sets: labels/….txt with the pictures, class names and splits found around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aion_dagster.errors import LabelError
from aion_dagster.formats.label_rows import AnnotationRow, LabelRows, split_named
from aion_dagster.formats.names import PICTURE_EXTENSIONS, extension, stem
from aion_dagster.formats.text_files import files_below
from aion_dagster.formats.yolo_settings import (
    YoloSettings,
    folder_inside,
    settings_file,
    yolo_settings,
)
from aion_dagster.values import Category, LabelSet

_NOT_LABELS: Final = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt"})
_TOLERANCE: Final = 0.01
"""How far a fraction may lie outside 0…1 before the row is wrong; Ultralytics allows as much."""


class _BadRowError(ValueError):
    """A row that cannot be used; the text is for the loss report."""


def read_yolo(root: Path, *, settings: Path | None = None) -> LabelSet:
    """A YOLO tree as a label set; boxes and polygons are fractions of the picture (`normalized`).

    A box's x and y are its top left corner. Where the data file says `kpt_shape`, rows have keypoints after their box. `file_name` is relative to the folder of pictures (and of the split);
    where no picture is found beside a label file it has no extension. A picture without a label file is named only if
    a list of the tree names it.

    Args:
        root: the tree, or its folder `labels`.
        settings: its data file, where that has an unusual name.

    Raises:
        LabelError: no class names, or no label files.
    """
    base = root.parent if root.name == "labels" else root
    found = settings_file(settings) if settings else yolo_settings(root, base)
    base = folder_inside(base, found.folder)
    present = files_below(base)
    pictures = {
        stem(n): extension(n) for n in present if extension(n).lower() in PICTURE_EXTENSIONS
    }
    files = _label_files(present)
    listed = _listed(base, found.places)
    if not files and not listed:
        raise LabelError(f"{root}: expected label files, labels/….txt, one per picture")
    rows = LabelRows()
    named: set[str] = set()
    for label_file in files:
        key = _picture_key(label_file)
        named.add(key)
        split = listed.get(key) or _split(key, label_file, found.places)
        name = _file_name(key) + pictures.get(key, "")
        image = rows.add_image(name, label_file, split=split)
        _read_file(base / label_file, label_file, image, found, rows)
    for key, split in listed.items():
        if key not in named:
            rows.add_image(_file_name(key) + pictures.get(key, ""), f"{split}.txt", split=split)
    return rows.label_set(_categories(found, rows, root.name))


def _label_files(present: Sequence[str]) -> list[str]:
    """Text files below a folder called labels; where there is none, those that are no lists."""
    found = [n for n in present if n.endswith(".txt")]
    in_labels = [n for n in found if "labels" in n.split("/")[:-1]]
    if in_labels:
        return [n for n in in_labels if not n.endswith("/classes.txt")]
    return [n for n in found if n.rpartition("/")[2].lower() not in _NOT_LABELS]


def _picture_key(label_file: str) -> str:
    """The path of the picture without extension: `labels` becomes `images`."""
    parts = stem(label_file).split("/")
    if "labels" in parts[:-1]:
        parts[parts.index("labels")] = "images"
    return "/".join(parts)


def _file_name(key: str) -> str:
    parts = key.split("/")
    if "images" in parts[:-1]:
        parts = parts[parts.index("images") + 1 :]
        if len(parts) > 1 and split_named(parts[0]):
            parts = parts[1:]
    return "/".join(parts)


def _split(key: str, label_file: str, places: Sequence[tuple[str, str]]) -> str | None:
    for split, place in places:
        if key.startswith(f"{place}/"):
            return split
    return split_named(*label_file.split("/")[:-1])


def _listed(base: Path, places: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Pictures that list files name: their key, and the first split that names them."""
    listed: dict[str, str] = {}
    for split, place in places:
        path = base / place
        if place.endswith(".txt") and path.is_file():
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                parts = [
                    p
                    for p in line.strip().replace("\\", "/").split("/")
                    if p not in ("", ".", "..")
                ]
                if "images" in parts[:-1] and not (base / "/".join(parts)).exists():
                    parts = parts[parts.index("images") :]
                if parts:
                    listed.setdefault(stem("/".join(parts)), split)
    return listed


def _categories(settings: YoloSettings, rows: LabelRows, subject: str) -> list[Category]:
    found: dict[str, Category] = {}
    for index, name in sorted(settings.names.items()):
        if name in found:
            rows.lose(
                "ambiguous", f"{subject}: class {index}", f"another class is called {name} too"
            )
        found.setdefault(name, Category(name, ""))
    return list(found.values())


def _read_file(
    path: Path, label_file: str, image: int, settings: YoloSettings, rows: LabelRows
) -> None:
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        rows.lose(
            "invalid", label_file, f"cannot be read ({error.strerror}); read as without objects"
        )
        return
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        subject = f"{label_file}:{number}"
        try:
            row, clipped = _row(fields, subject, image, settings)
        except _BadRowError as error:
            rows.lose("invalid", subject, str(error))
            continue
        rows.add(row)
        if clipped:
            rows.lose("clipped", subject, "values just outside 0…1 were set to the edge")


def _row(
    fields: list[str], subject: str, image: int, settings: YoloSettings
) -> tuple[AnnotationRow, bool]:
    """The annotation of a row, and whether a value was set to the edge."""
    points: list[float] | None = None
    if settings.keypoints is not None and len(fields) > 5:
        points = _keypoints(fields[5:], *settings.keypoints)
        fields = fields[:5]
    count = len(fields)
    if count not in (5, 6) and (count < 7 or count % 2 == 0):
        raise _BadRowError(f"{count} fields: expected class and box (5), or class and polygon")
    try:
        index, *values = (float(field) for field in fields)
    except ValueError:
        raise _BadRowError("a field is not a number (decimals take a point)") from None
    if not math.isfinite(index + sum(values)):
        raise _BadRowError("a value is not finite")
    category = settings.names.get(int(index)) if index.is_integer() else None
    if category is None:
        raise _BadRowError(f"class {fields[0]} has no name")
    score = values.pop() if count == 6 else None  # a prediction: class, box, confidence
    inside = values
    if min(values) < 0 or max(values) > 1:
        inside = [min(max(v, 0.0), 1.0) for v in values]
    if inside is not values and any(
        abs(v - w) > _TOLERANCE for v, w in zip(values, inside, strict=True)
    ):
        raise _BadRowError("a value is not a fraction between 0 and 1")
    if count <= 6:
        cx, cy, w, h = inside
        box, mask = (cx - w / 2, cy - h / 2, w, h), None
    else:
        x, y = inside[0::2], inside[1::2]
        box = (min(x), min(y), max(x) - min(x), max(y) - min(y))
        mask = {"polygons": [inside], "rle": None}
    if box[2] <= 0 or box[3] <= 0:
        raise _BadRowError("it has no width or height")
    row = AnnotationRow(
        image, category, box, subject, mask, score=score, normalized=True, keypoints=points
    )
    return row, inside != values


def _keypoints(fields: list[str], count: int, numbers: int) -> list[float]:
    """Keypoints x, y, v of a row; where the tree does not say whether they are seen, those at (0, 0) are not."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        raise _BadRowError("a field is not a number (decimals take a point)") from None
    if len(values) != count * numbers or not math.isfinite(sum(values)):
        raise _BadRowError(
            f"{len(values)} numbers after the box: expected {count} keypoints of {numbers}"
        )
    found: list[float] = []
    for i in range(0, len(values), numbers):
        x, y, *seen = values[i : i + numbers]
        found += [x, y, seen[0] if seen else 2.0 if x or y else 0.0]
    return found
