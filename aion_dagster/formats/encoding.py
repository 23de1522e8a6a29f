"""Pictures decoded, turned upright, made smaller, and encoded again."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageOps

from aion_dagster.formats.metadata import Kind

JPEG_QUALITY: Final = 95
"""Quality of a JPEG that has to be encoded again, without chroma subsampling."""

UNDECODABLE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    EOFError,
    Image.DecompressionBombError,
)
"""What Pillow raises for bytes that are no picture, or one too large to decode."""

PictureFormat = Literal["keep", "jpeg", "png", "webp"]

_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what brings the stored picture upright."""

_WITH_ALPHA: Final = frozenset({"LA", "PA", "La", "RGBA", "RGBa"})


class PictureSizeError(ValueError):
    """A picture decodes to another size than the dataset has for it, so its boxes would not fit."""


@dataclass(frozen=True)
class Wanted:
    """How a picture is to be encoded: `size` upright in the dataset; `target` the size in the export.

    `orientation` is the dataset's for it, as in EXIF.
    """

    orientation: int
    size: tuple[int, int]
    target: tuple[int, int]
    format: PictureFormat
    keep_exif: bool
    cmyk: bool


@dataclass(frozen=True)
class Encoded:
    """An encoded picture, and what was done to it."""

    data: bytes
    kind: Kind
    changes: tuple[str, ...] = ()


def encoded(data: bytes, wanted: Wanted, changes: list[str]) -> Encoded:
    """Decoded, turned upright, made smaller where wanted, and encoded.

    In the format "keep" JPEG stays JPEG, still WebP becomes lossless WebP, all else PNG.

    Raises:
        PictureSizeError: the picture has another size than the dataset says.
        UNDECODABLE: the bytes are no picture that can be decoded.
    """
    with Image.open(io.BytesIO(data)) as opened:
        own_format, frames = opened.format or "unknown", getattr(opened, "n_frames", 1)
        opened.seek(0)
        picture = _upright(opened, wanted.orientation)
    if picture.size != wanted.size:
        width, height = wanted.size
        raise PictureSizeError(
            f"decoded to {picture.width}×{picture.height}, the dataset has {width}×{height}"
        )
    info = picture.info
    exif = _kept_exif(picture) if wanted.keep_exif else b""
    if wanted.target != wanted.size:
        picture = _smaller(picture, wanted.target)
        changes = [*changes, "made smaller: {}×{} to {}×{}".format(*wanted.size, *wanted.target)]
    kind = _kind(own_format, frames, wanted.format)
    icc = info.get("icc_profile")
    out = io.BytesIO()
    if kind == "jpeg":
        change = _save_jpeg(picture, out, own_format, (icc, exif), cmyk=wanted.cmyk)
    elif kind == "webp":
        lossy = own_format in ("JPEG", "MPO")
        change = _save_webp(picture, out, own_format, (icc, exif), lossless=not lossy)
    else:
        _save_png(picture, out, (icc, exif))
        change = _png_change(own_format, frames)
    return Encoded(out.getvalue(), kind, ("; ".join((*changes, change)),))


def _upright(opened: Image.Image, orientation: int) -> Image.Image:
    """The picture turned as the dataset says: what Pillow finds in XMP beyond that is not what boxes were drawn on."""
    if opened.format == "TIFF":  # which Pillow turns while it loads
        return ImageOps.exif_transpose(opened)
    method = _TURNS.get(orientation)
    return opened.copy() if method is None else opened.transpose(method)


def _kept_exif(picture: Image.Image) -> bytes:
    exif = picture.getexif()
    exif.pop(_ORIENTATION, None)
    return exif.tobytes()


def _kind(own_format: str, frames: int, wanted: PictureFormat) -> Literal["jpeg", "png", "webp"]:
    if wanted != "keep":
        return wanted
    if own_format in ("JPEG", "MPO"):
        return "jpeg"
    return "webp" if own_format == "WEBP" and frames == 1 else "png"


def _smaller(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.mode in ("1", "P", "PA"):
        alpha = picture.mode == "PA" or "transparency" in picture.info
        picture = picture.convert("L" if picture.mode == "1" else "RGBA" if alpha else "RGB")
    elif picture.mode.startswith("I;16"):
        return picture.resize(size, Image.Resampling.NEAREST)  # no filter takes this mode
    return picture.resize(size, Image.Resampling.LANCZOS)


def _save_jpeg(
    picture: Image.Image,
    out: io.BytesIO,
    own_format: str,
    metadata: tuple[bytes | None, bytes],
    *,
    cmyk: bool,
) -> str:
    icc, exif = metadata
    notes = [f"encoded again at quality {JPEG_QUALITY}, 4:4:4"]
    if own_format not in ("JPEG", "MPO"):
        notes = [f"from {own_format} to JPEG at quality {JPEG_QUALITY}, 4:4:4"]
    if picture.mode == "CMYK" and not cmyk:
        picture, icc = picture.convert("RGB"), None
    elif picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
        picture = white.convert("RGB")
        notes.append("transparent parts are white")
    elif picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
        notes.append("from 16 to 8 bits")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    picture.save(
        out, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=icc, exif=exif, comment=b""
    )
    return "; ".join(notes)


def _save_webp(
    picture: Image.Image,
    out: io.BytesIO,
    own_format: str,
    metadata: tuple[bytes | None, bytes],
    *,
    lossless: bool,
) -> str:
    icc, exif = metadata
    if lossless:
        picture.save(out, "WEBP", lossless=True, exact=True, icc_profile=icc or b"", exif=exif)
        return (
            "encoded without loss"
            if own_format == "WEBP"
            else f"from {own_format} to lossless WebP"
        )
    if picture.mode == "CMYK":
        picture, icc = picture.convert("RGB"), None
    picture.save(out, "WEBP", quality=JPEG_QUALITY, icc_profile=icc or b"", exif=exif)
    return f"from {own_format} to WebP at quality {JPEG_QUALITY}"


def _png_change(own_format: str, frames: int) -> str:
    first = f", the first of {frames} pictures" if frames > 1 and own_format != "PNG" else ""
    return f"from {own_format} to PNG{first}"


def _save_png(picture: Image.Image, out: io.BytesIO, metadata: tuple[bytes | None, bytes]) -> None:
    icc, exif = metadata
    if picture.mode not in _PNG_MODES:
        icc = None if picture.mode in ("CMYK", "LAB") else icc
        picture = picture.convert("RGBA" if picture.mode in ("PA", "La", "RGBa") else "RGB")
    clean = picture.copy()
    clean.info = {k: v for k, v in picture.info.items() if k == "transparency"}
    clean.save(out, "PNG", icc_profile=icc, exif=exif or None)
