"""Which column of a CSV file is what, as its header says."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from aion_dagster.errors import LabelError

_HEADER: Final = 1 << 16
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("filename", "imagefilename", "imagename", "imagepath", "filepath", "file", "path", "image", "img", "imageid"),
    "class": ("class", "classname", "category", "categoryname", "label", "labelname", "name", "object"),
    "score": ("score", "confidence", "conf"),
    "iscrowd": ("iscrowd", "isgroupof"),
    "text": ("text", "transcription"),
    "split": ("split", "subset", "set", "partition"),
    "image_width": ("imagewidth", "imgwidth", "width"),
    "image_height": ("imageheight", "imgheight", "height"),
}  # fmt: skip
_CORNERS: Final = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bboxxmin", "bboxymin", "bboxxmax", "bboxymax"),
    ("bboxx1", "bboxy1", "bboxx2", "bboxy2"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_EXTENTS: Final = (
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
    ("bboxx", "bboxy", "bboxw", "bboxh"),
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("xmin", "ymin", "w", "h"),
)
_OWN: Final = ("annotation_id", "image_id", "file_name", "category", "category_id", "x", "y", "w", "h", "origin")  # fmt: skip
_DERIVED: Final = frozenset({"annotation_id", "image_id", "category_id", "area", "origin"})
"""Columns of our own export that say nothing new."""


@dataclass(frozen=True)
class CsvLayout:
    """`columns` maps what a column is to its name; `sides` are the four of them that are the box; `rest` the unknown."""

    header: list[str]
    delimiter: str
    columns: Mapping[str, str]
    sides: tuple[str, str, str, str]
    has_corners: bool
    rest: list[str]
    is_own: bool

    def boxes(self, sides: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Boxes [n, 4] as x, y, width, height."""
        if not self.has_corners:
            return sides
        return np.concatenate([sides[:, :2], sides[:, 2:] - sides[:, :2]], axis=1)


@dataclass(frozen=True)
class _Header:
    names: list[str]
    delimiter: str


def is_csv_labels(path: Path) -> bool:
    """Whether a CSV file's header says where boxes are."""
    try:
        layout_of(header_of(path), path)
    except LabelError:
        return False
    return True


def header_of(path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        LabelError: the file cannot be read as text in UTF-8, or is empty.
    """
    return _header(path).names


def layout_of(header: Sequence[str], path: Path) -> CsvLayout:
    """What the columns of a header are.

    Raises:
        LabelError: two columns have one name, or a picture's name, a class or a box is missing.
    """
    names = list(header)
    folded = {_folded(name): name for name in reversed(names)}
    if len(set(names)) < len(names):
        raise LabelError(
            f"{path}: two columns have the same name; rename one of {', '.join(names)}"
        )
    is_own = all(name in names for name in _OWN)
    sides, has_corners = _sides(folded)
    columns = {side: folded[side] for side in sides}
    taken = set(columns.values())
    for role, known in _NAMES.items():
        found = next((folded[k] for k in known if k in folded and folded[k] not in taken), None)
        if found is not None:
            columns[role] = found
            taken.add(found)
    missing = [what for what in ("name", "class") if what not in columns]
    if not sides or missing:
        raise LabelError(
            f"{path}: no labels: its header ({', '.join(names[:12])}) does not say "
            f"{' and '.join([*(['the box'] if not sides else []), *missing])}; expected columns such as filename,xmin,ymin,"
            "xmax,ymax,class or filename,x,y,width,height,class"
        )
    rest = [n for n in names if n not in taken and not (is_own and n in _DERIVED)]
    return CsvLayout(
        names, _header(path).delimiter, columns, (sides[0], sides[1], sides[2], sides[3]), has_corners, rest, is_own
    )  # fmt: skip


def _sides(folded: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    for sides in _CORNERS:
        if all(side in folded for side in sides):
            return sides, True
    for sides in _EXTENTS:
        if all(side in folded for side in sides):
            return sides, False
    return (), False


def _header(path: Path) -> _Header:
    try:
        with path.open("rb") as file:
            line = file.read(_HEADER).partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    delimiter = max(",;\t", key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    if not any(name.strip() for name in names):
        raise LabelError(f"{path}: expected a CSV file whose first line names its columns")
    return _Header(names, delimiter)


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
