"""From a file's bytes to upright RGB pixels, decoded once and no larger than needed."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from aion_dagster.compute.exif import ExifFacts, facts_of, parse_exif, upright
from aion_dagster.compute.icc import to_srgb
from aion_dagster.compute.jpeg_segments import JpegSegments, JpegStructureError, read_segments
from aion_dagster.compute.pillow_pixels import refuse_camera_raw, rgb_pixels
from aion_dagster.compute.resize import Soft, fitted_size, shrink_further, shrink_to
from aion_dagster.compute.sniff import MEDIA_TYPES, UndecodableError, check_size, sniff

__all__ = ["DEFAULT_MAX_PIXELS", "Decoded", "UndecodableError", "decode_picture", "upright_rgb"]

DEFAULT_MAX_PIXELS: Final = 178_956_970
"""Where Pillow, too, refuses a picture as a decompression bomb (twice its MAX_IMAGE_PIXELS)."""

_HEADROOM: Final = 1.7
"""At 1.2 a sharp photograph is only 31 dB from a full decode and Lanczos, at 1.5 34 dB; from 1.7 on, above 36 dB."""

_LARGE: Final = 24_000_000
"""Pictures of which more pixels than this are held at once are decoded one at a time, whatever the number of threads."""
_one_large = threading.Lock()

_PILLOW_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow's plugins raise for damaged files."""

cv2.setNumThreads(1)  # threads are over pictures; OpenCV's own would only compete with them


@dataclass(frozen=True, slots=True)
class Decoded:
    """Upright pixels (h, w, 3) and what the file says of itself.

    `width` and `height` are those of the whole picture, upright; `pixels` may be smaller by `scale`. `jpeg` is there
    when the file is a JPEG whose coded pixels could serve as they are: upright, sRGB, not CMYK. `soft` is there when
    smaller sizes may be made from it.
    """

    pixels: npt.NDArray[np.uint8]
    format: str
    width: int
    height: int
    frame_count: int | None
    exif: ExifFacts
    jpeg: JpegSegments | None
    soft: Soft | None = None

    @property
    def media_type(self) -> str:
        """The media type of the file's format."""
        return MEDIA_TYPES[self.format]

    @property
    def scale(self) -> float:
        """Longest side of `pixels` divided by that of the whole picture, 0 < scale ≤ 1."""
        height, width = self.pixels.shape[:2]
        return float(max(width, height)) / max(self.width, self.height)


def upright_rgb(
    data: bytes, *, longest_side: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[npt.NDArray[np.uint8], float]:
    """Pixels (h, w, 3), uint8, sRGB, turned upright, and their scale.

    Args:
        data: the file's bytes.
        longest_side: the result's longer side is at most this many pixels (never enlarged); None for full size.
        max_pixels: pictures whose header states more are refused before decoding.

    Returns:
        The array, and its longest side divided by the whole picture's: a point of the array divided by it is a point
        of the upright picture.

    Raises:
        UndecodableError: empty, damaged, not a picture, or too large.
    """
    decoded = decode_picture(data, longest_side=longest_side, max_pixels=max_pixels)
    return decoded.pixels, decoded.scale


def decode_picture(
    data: bytes, *, longest_side: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Decoded:
    """As `upright_rgb`, with the facts of the file."""
    sniffed = sniff(data)
    if sniffed.size is not None:
        check_size(*sniffed.size, max_pixels=max_pixels, format=sniffed.format)
    if sniffed.format == "jpeg":
        return _decode_jpeg(data, longest_side, max_pixels)
    with (
        _pillow_errors_as(sniffed.format),
        Image.open(io.BytesIO(data), formats=[sniffed.format]) as image,
    ):
        check_size(*image.size, max_pixels=max_pixels, format=sniffed.format)
        refuse_camera_raw(image)
        with _room_for(image.width * image.height):
            return _decode_with_pillow(image, sniffed.format, longest_side)


def _decode_with_pillow(image: Image.Image, name: str, longest_side: int | None) -> Decoded:
    turned_by_pillow = name == "tiff"  # Pillow turns TIFF, and only TIFF, while loading
    exif = facts_of(image.getexif())
    image.load()
    pixels = rgb_pixels(image, format=name)
    width, height = image.size
    if longest_side is not None:
        pixels = shrink_to(pixels, fitted_size(width, height, longest_side))
    if not turned_by_pillow:
        pixels = upright(pixels, exif.orientation)
        if exif.orientation >= 5:
            width, height = height, width
    return Decoded(pixels, name, width, height, _frame_count(image), exif, None)


def _frame_count(image: Image.Image) -> int | None:
    """How many frames or pages; None where the file is damaged after its first."""
    try:
        return int(getattr(image, "n_frames", 1))
    except _PILLOW_ERRORS:
        return None


def _decode_jpeg(data: bytes, longest_side: int | None, max_pixels: int) -> Decoded:
    try:
        segments = read_segments(data)
    except JpegStructureError as error:
        raise UndecodableError("unreadable", f"damaged JPEG: {error}", format="jpeg") from error
    check_size(segments.width, segments.height, max_pixels=max_pixels, format="jpeg")
    exif = parse_exif(segments.exif) if segments.exif is not None else ExifFacts()
    factor = _reduction(max(segments.width, segments.height), longest_side)
    held = segments.width * segments.height // (1 if segments.progressive else factor**2)
    with _room_for(held):
        pixels = _jpeg_pixels(data, segments, factor, exact=longest_side is None)
    width, height = segments.width, segments.height
    soft = None
    if longest_side is not None:
        size = fitted_size(width, height, longest_side)
        pixels, soft = shrink_further(pixels, size, overwrite=True)
    as_coded = exif.orientation == 1 and segments.components in (1, 3)
    if segments.icc is not None and segments.components == 3:
        converted = to_srgb(image := Image.fromarray(pixels), segments.icc)
        if converted is not image:
            pixels, as_coded, soft = np.asarray(converted, dtype=np.uint8), False, None
    if exif.orientation >= 5:
        width, height = height, width
    pixels = upright(pixels, exif.orientation)
    if soft is not None:
        soft = replace(soft, pixels=upright(soft.pixels, exif.orientation))
    return Decoded(pixels, "jpeg", width, height, 1, exif, segments if as_coded else None, soft)


def _reduction(longest: int, wanted: int | None) -> int:
    """The largest of 1, 2, 4, 8 by which the decoder may reduce: intermediate steps cost more than they save.

    The decoder reduces by cutting off frequencies, block by block; some shrinking after it makes that disappear.
    """
    if wanted is None:
        return 1
    return next((f for f in (8, 4, 2) if longest / f >= wanted * _HEADROOM), 1)


def _jpeg_pixels(
    data: bytes, segments: JpegSegments, factor: int, *, exact: bool
) -> npt.NDArray[np.uint8]:
    """Pixels reduced by `factor`; unless `exact`, rounded a little faster (above 39 dB, 42 when shrunk by two)."""
    if segments.precision != 8:
        reason = f"JPEG with {segments.precision} bits per sample; convert it to 8 bits"
        raise UndecodableError("unsupported", reason, format="jpeg")
    if segments.components == 4:
        return _jpeg_through_pillow(data, factor)
    least = {"min_width": -(-segments.width // factor), "min_height": -(-segments.height // factor)}
    try:
        decoded = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=not exact, fastupsample=not exact, **least
        )
    except ValueError as error:
        # Bytes too many between segments leave every pixel intact; anything else does not.
        if "extraneous bytes" in str(error):
            return _jpeg_through_pillow(data, factor)
        raise UndecodableError("unreadable", f"damaged JPEG: {error}", format="jpeg") from error
    return np.asarray(decoded, dtype=np.uint8)


def _jpeg_through_pillow(data: bytes, factor: int) -> npt.NDArray[np.uint8]:
    with _pillow_errors_as("jpeg"), Image.open(io.BytesIO(data), formats=["jpeg"]) as image:
        if factor > 1:
            image.draft(None, (-(-image.width // factor), -(-image.height // factor)))
        image.load()
        return rgb_pixels(image, format="jpeg")


def _room_for(pixels: int) -> threading.Lock | nullcontext[None]:
    return _one_large if pixels > _LARGE else nullcontext()


@contextmanager
def _pillow_errors_as(name: str) -> Iterator[None]:
    """Pillow's many exceptions as one that names the format."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise UndecodableError("too_large", f"{name}: {error}", format=name) from error
    except UnidentifiedImageError as error:  # its own words hold an address in memory
        reason = f"damaged {name.upper()}: what follows its signature is no such picture"
        raise UndecodableError("unreadable", reason, format=name) from error
    except _PILLOW_ERRORS as error:
        reason = f"damaged {name.upper()}: {error or type(error).__name__}"
        raise UndecodableError("unreadable", reason, format=name) from error
