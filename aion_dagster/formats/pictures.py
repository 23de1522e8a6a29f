"""Pictures of an export: linked where nothing has to change, else copied without metadata, turned or converted."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from aion_dagster.errors import FileChangedError, FileTooLargeError, FileVanishedError, SourceError
from aion_dagster.formats.encoding import (
    UNDECODABLE,
    Encoded,
    PictureFormat,
    PictureSizeError,
    Wanted,
    encoded,
)
from aion_dagster.formats.lossless_turning import NotTurnedError
from aion_dagster.formats.metadata import DamagedPictureError, Inspection, Kind, inspect
from aion_dagster.formats.names import extension, stem
from aion_dagster.formats.stripping import copied
from aion_dagster.formats.turned_jpegs import is_without_loss, turned_jpeg
from aion_dagster.values import Loss

_EXTENSIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "jpeg": (".jpg", ".jpeg"),
    "png": (".png",),
    "webp": (".webp",),
    "bmp": (".bmp",),
}
"""Kinds that every loader takes, with the extensions by which loaders find them."""


@dataclass(frozen=True)
class PictureFile:
    """The bytes of a picture: `path` where they lie on this machine as a file, `data` reads them in any case."""

    path: Path | None
    data: Callable[[], bytes]


class PictureSource(Protocol):
    """Where an export gets its pictures from."""

    def open(self, image_id: str) -> PictureFile:
        """The picture, its bytes those that the dataset was made of.

        Raises:
            SourceError: the bytes are gone, changed, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class PictureRules:
    """What a target takes: CMYK JPEGs, other extensions of JPEG than `.jpg`, pictures below `smallest` pixels a side.

    `format`: what every picture becomes; `longest_side`: pictures with a longer one are made smaller.
    """

    cmyk: bool = False
    any_jpeg_extension: bool = True
    smallest: int = 1
    keep_exif: bool = False
    link: bool = True
    format: PictureFormat = "keep"
    longest_side: int | None = None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size in the export of a picture of this size."""
        longest = max(width, height)
        if self.longest_side is None or longest <= self.longest_side:
            return width, height
        scale = self.longest_side / longest
        return max(round(width * scale), 1), max(round(height * scale), 1)


@dataclass(frozen=True)
class PictureRow:
    """A picture as the dataset knows it: `name` in the export, upright size in pixels, EXIF orientation of its file."""

    image_id: str
    name: str
    width: int
    height: int
    orientation: int


@dataclass(frozen=True)
class Prepared:
    """What a picture is in the export: the file at `path` as it is, or `data`; its size, and what was changed."""

    kind: Kind
    size: tuple[int, int]
    path: Path | None = None
    data: bytes = b""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """The picture's name and size in the export, None if it was left out, and what was lost on the way."""

    name: str | None
    losses: tuple[Loss, ...] = ()
    size: tuple[int, int] = (0, 0)
    changes: tuple[str, ...] = ()


def place_picture(
    row: PictureRow, source: PictureSource, folder: Path, rules: PictureRules
) -> Placed:
    """Put one picture below `folder`, upright, of a kind that loaders take, without metadata unless it is kept.

    A picture that need not change is hard-linked, or copied where that is impossible. The file is always a new one:
    nothing is written through an existing link.

    Raises:
        OSError: the picture cannot be written.
    """
    made = prepare_picture(row, source, rules)
    if isinstance(made, Loss):
        return Placed(None, (made,))
    name, losses = picture_name(row.name, made.kind, rules)
    target = new_path(folder, name)
    if made.path is None:
        with target.open("xb") as file:
            file.write(made.data)
    else:
        try:
            link_or_copy(made.path, target, link=rules.link)
        except FileNotFoundError as error:
            return Placed(None, (Loss("missing", row.name, _why_missing(error)),))
    return Placed(name, (*changes_lost(row.name, made.changes), *losses), made.size, made.changes)


def changes_lost(name: str, changes: Sequence[str]) -> list[Loss]:
    """The losses of what was done to a picture; none for what lost nothing."""
    return [Loss("converted", name, text) for text in changes if not is_without_loss(text)]


def prepare_picture(row: PictureRow, source: PictureSource, rules: PictureRules) -> Prepared | Loss:
    """What a picture becomes in the export; a loss where it has to be left out."""
    size = rules.size(row.width, row.height)
    if min(size) < rules.smallest:
        detail = f"{size[0]}×{size[1]} pixels; loaders of this format want {rules.smallest} a side"
        return Loss("dropped", row.name, detail)
    try:
        file = source.open(row.image_id)
        seen, problem = _inspect(file)
        as_it_is = seen is not None and _as_it_is(seen, row, rules)
        data = b"" if as_it_is and file.path is not None else file.data()
    except (SourceError, OSError) as error:
        return Loss("missing", row.name, _why_missing(error))
    if as_it_is and seen is not None and file.path is not None:
        return Prepared(seen.kind, size, path=file.path)
    try:
        made = _made(data, seen, problem, row, rules)
    except PictureSizeError as error:
        return Loss("mismatched", row.name, f"{error}")
    except UNDECODABLE as error:
        return Loss("invalid", row.name, f"cannot be decoded ({type(error).__name__})")
    return Prepared(made.kind, size, data=made.data, changes=made.changes)


def _inspect(file: PictureFile) -> tuple[Inspection | None, str]:
    """What the file is; None and the problem where its structure is damaged."""
    try:
        if file.path is None:
            return inspect(io.BytesIO(file.data())), ""
        with file.path.open("rb") as opened:
            return inspect(opened), ""
    except DamagedPictureError as error:
        return None, str(error)


def _as_it_is(seen: Inspection, row: PictureRow, rules: PictureRules) -> bool:
    return (
        seen.complete
        and (seen.clean or rules.keep_exif)
        and not seen.animated
        and not _needs_pixels(seen, row, rules)
    )


def _needs_pixels(seen: Inspection, row: PictureRow, rules: PictureRules) -> bool:
    return (
        seen.kind == "other"
        or row.orientation > 1
        or (seen.four_channels and not rules.cmyk)
        or (seen.kind == "webp" and seen.animated)
        or rules.size(row.width, row.height) != (row.width, row.height)
        or rules.format not in ("keep", seen.kind)
    )


def _made(
    data: bytes, seen: Inspection | None, problem: str, row: PictureRow, rules: PictureRules
) -> Encoded:
    if seen is None:
        return encoded(
            data, _wanted(row, rules), [f"damaged ({problem}): decoded and encoded again"]
        )
    if not _needs_pixels(seen, row, rules):
        try:
            return copied(data, seen, keep_exif=rules.keep_exif)
        except DamagedPictureError as error:
            return _made(data, None, str(error), row, rules)
    changes = []
    if row.orientation > 1:
        try:
            if _only_to_turn(seen, row, rules):
                return _turned(data, seen, row, rules)
            why = ""
        except NotTurnedError as error:
            why = f": {error}"
        changes.append(f"turned upright (EXIF orientation {row.orientation}){why}")
    if seen.four_channels and not rules.cmyk:
        changes.append("from CMYK to RGB")
    if seen.animated:
        changes.append("animation: only the first picture is kept")
    return encoded(data, _wanted(row, rules), changes)


def _wanted(row: PictureRow, rules: PictureRules) -> Wanted:
    size = (row.width, row.height)
    target = rules.size(*size)
    return Wanted(row.orientation, size, target, rules.format, rules.keep_exif, rules.cmyk)


def _only_to_turn(seen: Inspection, row: PictureRow, rules: PictureRules) -> bool:
    return seen.kind == "jpeg" and not _needs_pixels(seen, replace(row, orientation=1), rules)


def _turned(data: bytes, seen: Inspection, row: PictureRow, rules: PictureRules) -> Encoded:
    size = (row.width, row.height)
    return turned_jpeg(data, seen, row.orientation, size, keep_exif=rules.keep_exif)


def kind_of(suffix: str) -> Kind:
    """The kind of picture that a file of an export with this extension is."""
    return next(k for k, taken in _EXTENSIONS.items() if suffix.lower() in taken)


def picture_name(name: str, kind: Kind, rules: PictureRules) -> tuple[str, tuple[Loss, ...]]:
    """The name with an extension by which loaders find this kind of picture."""
    taken = _EXTENSIONS[kind]
    own = extension(name)
    if own in (".jpg",) and kind == "jpeg":
        return name, ()
    if own.lower() in taken and (kind != "jpeg" or rules.any_jpeg_extension):
        return name, ()
    new = stem(name) + taken[0]
    return new, (
        Loss("renamed", name, f"is {new}: the extension that loaders of this format read"),
    )


def new_path(folder: Path, name: str) -> Path:
    """Where a picture of this name lies; its folder is made."""
    path = folder / name
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def link_or_copy(origin: Path, target: Path, *, link: bool) -> None:
    """A hard link to a file, or where that is not possible or wanted a copy.

    Raises:
        OSError: the file is gone, or another one has the name.
    """
    if link:
        try:
            # link() on Linux would link a symbolic link itself
            os.link(origin.resolve() if origin.is_symlink() else origin, target)
        except FileExistsError:
            raise
        except OSError:  # another file system, too many links, or a file that may not be linked
            shutil.copyfile(origin, target)
    else:
        shutil.copyfile(origin, target)


def _why_missing(error: Exception) -> str:
    """Without the error's own text, which may name paths of this machine."""
    reasons = {
        FileVanishedError: "its file is gone",
        FileNotFoundError: "its file is gone",
        FileChangedError: "its file changed since it was read",
        FileTooLargeError: "its file is larger than allowed",
    }
    return f"{reasons.get(type(error), 'its file cannot be read')}"
