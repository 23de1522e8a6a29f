"""How well the file name in a label fits the path of a picture."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

_EXTENSIONS: Final = [
    "jpg",
    "jpeg",
    "jpe",
    "jfif",
    "png",
    "webp",
    "gif",
    "bmp",
    "dib",
    "tif",
    "tiff",
    "heic",
    "heif",
    "avif",
    "jp2",
    "jxl",
    "ppm",
    "pgm",
    "pbm",
    "pnm",
    "tga",
]
EXTENSION: Final = re.compile(rf"\.({'|'.join(_EXTENSIONS)})$", re.IGNORECASE)
_ARROW_EXTENSION: Final = rf"(?i)\.({'|'.join(_EXTENSIONS)})$"
_DRIVE: Final = re.compile(r"^[A-Za-z]:[\\/]")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_LAYOUT: Final = frozenset({"images", "labels", "jpegimages", "annotations", "imgs", "img"})
"""Folders that a layout adds and a label's file name may lack."""
_SPLITS: Final = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True, slots=True, order=True)
class Fit:
    """How well a label's file name fits a picture; greater is better.

    `sure`: all folders that both paths could share agree. `cased`: without ignoring case. `tier`: 4 the same
    relative path, 3 the picture's path ends with the label's, 2 the same but for layout folders such as `images`,
    1 the label's path comes from elsewhere, and only its last components agree. `common`: how many components.
    """

    sure: bool
    cased: bool
    tier: int
    common: int


SAME_BYTES: Final = Fit(sure=True, cased=True, tier=5, common=0)
"""A label that gives the picture's hash: better than any path."""


def stem(name: str) -> str:
    """The last component without a picture's extension."""
    return EXTENSION.sub("", name.replace("\\", "/").rpartition("/")[2])


def stem_keys(names: pa.Array) -> pa.Array:
    """Per path the last component in lower case and NFC without a picture's extension: equal where paths may fit."""
    base = pc.replace_substring_regex(
        pc.replace_substring(names, "\\", "/"), pattern=r"(?s)^.*/", replacement=""
    )
    return pc.utf8_lower(
        pc.utf8_normalize(
            pc.replace_substring_regex(base, pattern=_ARROW_EXTENSION, replacement=""), form="NFC"
        )
    )


def folder_keys(names: pa.Array) -> pa.Array:
    """`stem_keys` with the folder that directly holds the file in front, where there is one."""
    inner = pc.replace_substring_regex(
        pc.replace_substring(names, "\\", "/"), pattern=r"(?s)^.*/([^/]*/[^/]*)$", replacement=r"\1"
    )
    bare = pc.replace_substring_regex(inner, pattern=_ARROW_EXTENSION, replacement="")
    return pc.utf8_lower(pc.utf8_normalize(bare, form="NFC"))


def basenames(stem_key: str) -> list[str]:
    """The casefolded basenames that pictures of a stem may have, in both Unicode forms."""
    forms = {unicodedata.normalize(form, stem_key).casefold() for form in ("NFC", "NFD")}
    endings = ("", *(f".{extension}" for extension in _EXTENSIONS))
    return [form + ending for form in sorted(forms) for ending in endings]


def readings(name: str) -> tuple[str, ...]:
    """The ways to read a file name in a label: as it stands, then with its percent-escapes resolved."""
    return (name, unquote(name)) if _ESCAPE.search(name) else (name,)


def components(path: str) -> tuple[str, ...]:
    """The components of a path of any system or of a URL, NFC, without `.`, `..`, root, drive and scheme."""
    if "://" in path:
        scheme, _, rest = path.partition("://")
        path = rest.partition("/")[2]
        path = unquote(path) if scheme == "file" else path
    path = unicodedata.normalize("NFC", _DRIVE.sub("", path)).replace("\\", "/")
    return tuple(c for c in path.split("/") if c not in ("", ".", ".."))


def fit(label: tuple[str, ...], name: tuple[str, ...], uri: tuple[str, ...]) -> Fit | None:
    """How well components of a label's file name fit a picture's relative name and its uri; None: not at all.

    A label's name without a picture's extension (YOLO) fits a picture of that stem. Folders that name different
    splits (train, val, test) contradict each other: such a pair does not fit, however equal the file names are.
    """
    cased = _fit(label, name, uri, cased=True)
    if cased is not None and cased.sure:
        return cased
    lower = _fit(_fold(label), _fold(name), _fold(uri), cased=False)
    return max((f for f in (cased, lower) if f is not None), default=None)


def _fold(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(c.casefold() for c in path)


def _fit(
    label: tuple[str, ...], name: tuple[str, ...], uri: tuple[str, ...], *, cased: bool
) -> Fit | None:
    common = _common_suffix(label, name)
    if not common:
        return None
    if common == len(label) == len(name):
        return Fit(True, cased, 4, common)
    beyond = max(common, _common_suffix(label, uri))
    if beyond == len(label):
        return Fit(True, cased, 3, beyond)
    bare, bare_name, bare_uri = _without_layout(label), _without_layout(name), _without_layout(uri)
    bare_common = max(_common_suffix(bare, bare_name), _common_suffix(bare, bare_uri))
    if bare_common == len(bare):
        return Fit(True, cased, 2, bare_common)
    if _contradict(label, name if common < len(name) else bare_uri[-2:]):
        return None
    return Fit(False, cased, 1, beyond)


def _common_suffix(label: tuple[str, ...], path: tuple[str, ...]) -> int:
    if not label or not path or not _same_file(label[-1], path[-1]):
        return 0
    count = 1
    for a, b in zip(reversed(label[:-1]), reversed(path[:-1]), strict=False):
        if a != b:
            break
        count += 1
    return count


def _same_file(label: str, name: str) -> bool:
    return label == name or (
        not EXTENSION.search(label) and EXTENSION.sub("", name) == label and label != ""
    )


def _without_layout(path: tuple[str, ...]) -> tuple[str, ...]:
    return (*(c for c in path[:-1] if c.casefold() not in _LAYOUT), *path[-1:])


def _contradict(label: tuple[str, ...], name: tuple[str, ...]) -> bool:
    ours, theirs = _named_splits(label), _named_splits(name)
    return bool(ours and theirs and not ours & theirs)


def _named_splits(path: tuple[str, ...]) -> set[str]:
    words = (c.casefold().rstrip("0123456789") for c in path[:-1])
    return {_SPLITS[w] for w in words if w in _SPLITS}
