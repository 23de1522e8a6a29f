"""The smaller copies of a picture, as JPEG: upright, sRGB, without metadata, never enlarged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg

from aion_dagster.compute.jpeg_segments import JpegSegments, JpegStructureError, without_metadata
from aion_dagster.compute.resize import Soft, fitted_size, shrink_further

Pixels = npt.NDArray[np.uint8]

_FINE_SIDE: Final = 64
_FINE_QUALITY: Final = 95
"""The smallest variant is looked at enlarged and costs little: full chroma and this quality at least."""
_MOST_BYTES_PER_PIXEL: Final = 1.0


def pyramid(
    pixels: Pixels,
    full_size: tuple[int, int],
    sides: Iterable[int],
    *,
    soft: Soft | None = None,
    overwrite: bool = False,
) -> Iterator[tuple[int, Pixels]]:
    """Each longest side, from the largest on, and upright pixels (h, w, 3), shrunk from the side before.

    Sides beyond the picture's own give the same array. `full_size` (width, height) is the whole picture's: every size is
    rounded from it, not from the one before. `soft` and `overwrite` as in `shrink_further`: an array may hold anything once
    the next has been asked for, unless that is the same.
    """
    for side in sorted(set(sides), reverse=True):
        size = fitted_size(*full_size, side)
        pixels, soft = shrink_further(pixels, size, soft=soft, overwrite=overwrite)
        yield side, pixels


def encode_variant(
    pixels: Pixels, *, quality: int, original: tuple[bytes, JpegSegments] | None = None
) -> bytes:
    """Upright pixels (h, w, 3) as JPEG bytes.

    Args:
        pixels: one of `pyramid`.
        quality: JPEG quality 1–100; with both sides at most 64, 95 at least.
        original: the file and its segments, when it is upright sRGB; its coded pixels then serve, without loss and without
            metadata, where `pixels` are not fewer.
    """
    copy = _copy_of_original(pixels, original)
    return copy if copy is not None else _jpeg(pixels, quality)


def _copy_of_original(pixels: Pixels, original: tuple[bytes, JpegSegments] | None) -> bytes | None:
    if original is None:
        return None
    data, segments = original
    if pixels.shape[:2] != (segments.height, segments.width):
        return None
    try:
        copy = without_metadata(data, segments)
    except JpegStructureError:
        return None
    # Something coded far beyond what can be seen is coded again instead.
    return (
        copy
        if len(copy) <= max(2048, pixels.shape[0] * pixels.shape[1] * _MOST_BYTES_PER_PIXEL)
        else None
    )


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    fine = max(pixels.shape[:2]) <= _FINE_SIDE
    encoded = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels),
        quality=max(quality, _FINE_QUALITY) if fine else quality,
        colorspace="RGB",
        colorsubsampling="444" if fine else "420",
    )
    return bytes(encoded)
