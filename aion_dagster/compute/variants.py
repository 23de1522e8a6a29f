"""The smaller copies of a picture, as JPEG: upright, sRGB, without metadata, never enlarged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg

from aion_dagster.compute.jpeg_segments import JpegSegments, JpegStructureError, without_metadata
from aion_dagster.compute.resize import fitted_size, shrink_to
from aion_dagster.schemas import VARIANTS

Pixels = npt.NDArray[np.uint8]

_FINE_SIDE: Final = 64
_FINE_QUALITY: Final = 95
"""The smallest variant is looked at enlarged and costs little: full chroma and this quality at least."""
_MOST_BYTES_PER_PIXEL: Final = 1.0


def pyramid(pixels: Pixels, full_size: tuple[int, int], sides: Iterable[int]) -> dict[int, Pixels]:
    """Longest side → upright pixels (h, w, 3), each shrunk from the next larger; equal sizes share an array.

    `full_size` (width, height) is the whole picture's: every size is rounded from it, not from the one before.
    """
    arrays: dict[int, Pixels] = {}
    for side in sorted(set(sides), reverse=True):
        pixels = shrink_to(pixels, fitted_size(*full_size, side))
        arrays[side] = pixels
    return arrays


def encode_variants(
    arrays: Mapping[int, Pixels],
    *,
    quality: int,
    original: tuple[bytes, JpegSegments] | None = None,
) -> dict[str, bytes]:
    """Variant name → JPEG bytes; sizes that share an array are encoded once.

    Args:
        arrays: `pyramid` of at least the sides of `VARIANTS`.
        quality: JPEG quality 1–100 of the two larger variants.
        original: the file and its segments, when it is upright sRGB; its coded pixels then serve, without loss and without
            metadata, for the variants that are not smaller than it.
    """
    encoded: dict[int, bytes] = {}
    wanted = {name: arrays[side] for name, side in VARIANTS.items()}
    for pixels in wanted.values():
        if id(pixels) not in encoded:
            copy = _copy_of_original(pixels, original)
            encoded[id(pixels)] = copy if copy is not None else _jpeg(pixels, quality)
    return {name: encoded[id(pixels)] for name, pixels in wanted.items()}


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
