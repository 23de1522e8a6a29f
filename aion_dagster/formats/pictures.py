"""Pictures of an export: linked where nothing has to change, else copied without metadata, turned or converted."""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from PIL import Image, ImageOps

from aion_dagster.errors import FileChangedError, FileTooLargeError, FileVanishedError, SourceError
from aion_dagster.formats.metadata import DamagedPictureError, Inspection, Kind, inspect, stripped
from aion_dagster.formats.names import extension, stem
from aion_dagster.values import Loss

JPEG_QUALITY: Final = 95
"""Quality of a JPEG that has to be encoded again, without chroma subsampling."""

_EXTENSIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "jpeg": (".jpg", ".jpeg"),
    "png": (".png",),
    "webp": (".webp",),
    "bmp": (".bmp",),
}
"""Kinds that every loader takes, with the extensions by which loaders find them."""

_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_UNDECODABLE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    EOFError,
    Image.DecompressionBombError,
)
"""What Pillow raises for bytes that are no picture, or one too large to decode."""


class PictureSizeError(ValueError):
    """A picture decodes to another size than the dataset has for it, so its boxes would not fit."""


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
    """What a target takes: CMYK JPEGs, other extensions of JPEG than `.jpg`, pictures below `smallest` pixels a side."""

    cmyk: bool = False
    any_jpeg_extension: bool = True
    smallest: int = 1
    keep_exif: bool = False
    link: bool = True


@dataclass(frozen=True)
class PictureRow:
    """A picture as the dataset knows it: `name` in the export, upright size in pixels, EXIF orientation of its file."""

    image_id: str
    name: str
    width: int
    height: int
    orientation: int


@dataclass(frozen=True)
class Placed:
    """The picture's name in the export, None if it was left out, and what was lost on the way."""

    name: str | None
    losses: tuple[Loss, ...] = ()


def place_picture(
    row: PictureRow, source: PictureSource, folder: Path, rules: PictureRules
) -> Placed:
    """Put one picture below `folder`, upright, of a kind that loaders take, without metadata unless it is kept.

    A picture that need not change is hard-linked, or copied where that is impossible. The file is always a new one:
    nothing is written through an existing link.

    Raises:
        OSError: the picture cannot be written.
    """
    if min(row.width, row.height) < rules.smallest:
        detail = (
            f"{row.width}×{row.height} pixels; loaders of this format want {rules.smallest} a side"
        )
        return Placed(None, (Loss("dropped", row.name, detail),))
    try:
        file = source.open(row.image_id)
        seen, problem = _inspect(file)
        as_it_is = seen is not None and _as_it_is(seen, row, rules)
        data = b"" if as_it_is and file.path is not None else file.data()
    except (SourceError, OSError) as error:
        return Placed(None, (Loss("missing", row.name, _why_missing(error)),))
    if as_it_is and seen is not None and file.path is not None:
        return _linked(file.path, row, seen.kind, folder, rules)
    try:
        made = _made(data, seen, problem, row, rules)
    except PictureSizeError as error:
        return Placed(None, (Loss("mismatched", row.name, f"{error}"),))
    except _UNDECODABLE as error:
        detail = f"cannot be decoded ({type(error).__name__})"
        return Placed(None, (Loss("invalid", row.name, detail),))
    name, losses = _named(row.name, made.kind, rules)
    with _new_path(folder, name).open("xb") as target:
        target.write(made.data)
    details = [Loss("converted", row.name, text) for text in made.changes]
    return Placed(name, (*details, *losses))


def _linked(origin: Path, row: PictureRow, kind: Kind, folder: Path, rules: PictureRules) -> Placed:
    name, losses = _named(row.name, kind, rules)
    target = _new_path(folder, name)
    try:
        _link_or_copy(origin, target, link=rules.link)
    except FileNotFoundError as error:
        return Placed(None, (Loss("missing", row.name, _why_missing(error)),))
    return Placed(name, losses)


@dataclass(frozen=True)
class _Made:
    data: bytes
    kind: Kind
    changes: tuple[str, ...] = ()


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
    )


def _made(
    data: bytes, seen: Inspection | None, problem: str, row: PictureRow, rules: PictureRules
) -> _Made:
    if seen is None:
        return _encoded(data, row, rules, [f"damaged ({problem}): decoded and encoded again"])
    if not _needs_pixels(seen, row, rules):
        try:
            return _stripped(data, seen, keep_exif=rules.keep_exif)
        except DamagedPictureError as error:
            return _made(data, None, str(error), row, rules)
    changes = []
    if row.orientation > 1:
        changes.append(f"turned upright (EXIF orientation {row.orientation})")
    if seen.four_channels and not rules.cmyk:
        changes.append("from CMYK to RGB")
    if seen.animated:
        changes.append("animation: only the first picture is kept")
    return _encoded(data, row, rules, changes)


def _stripped(data: bytes, seen: Inspection, *, keep_exif: bool) -> _Made:
    changes = []
    made = stripped(data, seen.kind, keep_metadata=keep_exif)
    if seen.animated:
        changes.append("animation: only the first picture is kept")
    if seen.kind == "jpeg" and not seen.complete and made[-32:] not in data:
        changes.append("its end marker was missing and was added")
    return _Made(made, seen.kind, tuple(changes))


def _encoded(data: bytes, row: PictureRow, rules: PictureRules, changes: list[str]) -> _Made:
    """Decoded, turned upright, and encoded: JPEG as JPEG, still WebP as lossless WebP, all else as PNG."""
    with Image.open(io.BytesIO(data)) as opened:
        own_format, frames = opened.format or "unknown", getattr(opened, "n_frames", 1)
        opened.seek(0)
        upright = ImageOps.exif_transpose(opened)
    if upright.size != (row.width, row.height):
        raise PictureSizeError(
            f"decoded to {upright.width}×{upright.height}, the dataset has {row.width}×{row.height}"
        )
    icc = upright.info.get("icc_profile")
    exif = upright.getexif().tobytes() if rules.keep_exif else b""
    out = io.BytesIO()
    if own_format in ("JPEG", "MPO"):
        if upright.mode == "CMYK" and not rules.cmyk:
            upright, icc = upright.convert("RGB"), None
        upright.save(
            out,
            "JPEG",
            quality=JPEG_QUALITY,
            subsampling=0,
            icc_profile=icc,
            exif=exif,
            comment=b"",
        )
        kind: Kind = "jpeg"
        changes = [*changes, f"encoded again at quality {JPEG_QUALITY}, 4:4:4"]
    elif own_format == "WEBP" and frames == 1:
        upright.save(out, "WEBP", lossless=True, exact=True, icc_profile=icc or b"", exif=exif)
        kind, changes = "webp", [*changes, "encoded without loss"]
    else:
        _save_png(upright, out, icc, exif)
        kind, changes = "png", [*changes, _png_change(own_format, frames)]
    return _Made(out.getvalue(), kind, ("; ".join(changes),))


def _png_change(own_format: str, frames: int) -> str:
    first = f", the first of {frames} pictures" if frames > 1 and own_format != "PNG" else ""
    return f"from {own_format} to PNG{first}"


def _save_png(picture: Image.Image, out: io.BytesIO, icc: bytes | None, exif: bytes) -> None:
    if picture.mode not in _PNG_MODES:
        icc = None if picture.mode in ("CMYK", "LAB") else icc
        picture = picture.convert("RGBA" if picture.mode in ("PA", "La", "RGBa") else "RGB")
    clean = picture.copy()
    clean.info = {k: v for k, v in picture.info.items() if k == "transparency"}
    clean.save(out, "PNG", icc_profile=icc, exif=exif or None)


def _named(name: str, kind: Kind, rules: PictureRules) -> tuple[str, tuple[Loss, ...]]:
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


def _new_path(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _link_or_copy(origin: Path, target: Path, *, link: bool) -> None:
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
