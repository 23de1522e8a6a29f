"""Pictures' bytes to everything that is measured of them, with a single decode each.

Several pictures at once cost less than one after the other: everything that needs large arrays is done picture by
picture, then each small measurement for all of them, while its code and tables are in the processor's caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.blurhash import blurhash
from aion_dagster.compute.colors import ColorAnalysis, analysis_pixels, analyze_all
from aion_dagster.compute.decode import Decoded, UndecodableError, decode_picture
from aion_dagster.compute.exif import Gps
from aion_dagster.compute.features import FEATURES_SIDE, VisualFeatures, visual_features
from aion_dagster.compute.phash import gray_dct, phash
from aion_dagster.compute.variants import encode_variants, pyramid
from aion_dagster.schemas import VARIANTS

_WORKING_SIDE: Final = max(VARIANTS.values())
_HASHED_SIDE: Final = FEATURES_SIDE
_BLURRED_SIDE: Final = VARIANTS["tiny_64"]


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What `images` says of a picture's content; sizes upright, times local, hashes as text."""

    format: str
    media_type: str
    width: int
    height: int
    orientation: int
    frame_count: int | None
    captured_at: datetime | None
    gps: Gps | None
    blur_hash: str
    phash: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Facts, and the parts that were asked for."""

    facts: PictureFacts
    variants: dict[str, bytes] | None
    colors: ColorAnalysis | None
    features: VisualFeatures | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a picture when its large arrays are gone: small pixels, and results that needed the large ones."""

    decoded: Decoded
    gray: npt.NDArray[np.uint8]
    small: npt.NDArray[np.uint8]
    tiny: npt.NDArray[np.uint8]
    variants: dict[str, bytes] | None


def measure(
    data: bytes, *, parts: frozenset[str], n_colors: int, jpeg_quality: int, max_pixels: int
) -> Measured:
    """Everything about one picture. What is measured does not depend on which other `parts` are asked for.

    Raises:
        UndecodableError: the bytes are no picture, a damaged one, or one beyond `max_pixels`.
    """
    (measured,) = measure_all(
        [data], parts=parts, n_colors=n_colors, jpeg_quality=jpeg_quality, max_pixels=max_pixels
    )
    if isinstance(measured, UndecodableError):
        raise measured
    return measured


def measure_all(
    pictures: Sequence[bytes],
    *,
    parts: frozenset[str],
    n_colors: int,
    jpeg_quality: int,
    max_pixels: int,
) -> list[Measured | UndecodableError]:
    """As `measure` for each of some `pictures`; the error, in its place, for one that gives no pixels."""
    looked = [_look(data, parts, jpeg_quality, max_pixels) for data in pictures]
    seen = [s for s in looked if isinstance(s, _Seen)]
    blurred = [blurhash(s.tiny) for s in seen]
    dcts = [gray_dct(s.gray) for s in seen]
    hashed = [phash(dct) for dct in dcts]
    colors = (
        analyze_all([s.small for s in seen], n_colors=n_colors)
        if "color_analyses" in parts
        else [None] * len(seen)
    )
    features = [
        visual_features(s.gray, s.small, dct) if "visual_features" in parts else None
        for s, dct in zip(seen, dcts, strict=True)
    ]
    measured = iter(
        Measured(_facts(s.decoded, blur, bits), s.variants, color, feature)
        for s, blur, bits, color, feature in zip(
            seen, blurred, hashed, colors, features, strict=True
        )
    )
    return [next(measured) if isinstance(s, _Seen) else s for s in looked]


def _look(
    data: bytes, parts: frozenset[str], jpeg_quality: int, max_pixels: int
) -> _Seen | UndecodableError:
    try:
        decoded = decode_picture(data, longest_side=_WORKING_SIDE, max_pixels=max_pixels)
    except UndecodableError as error:
        return error
    arrays = pyramid(decoded.pixels, (decoded.width, decoded.height), VARIANTS.values())
    hashed = arrays[_HASHED_SIDE]
    original = (data, decoded.jpeg) if decoded.jpeg is not None else None
    return _Seen(
        decoded=replace(decoded, pixels=arrays[_BLURRED_SIDE], jpeg=None),
        gray=np.asarray(cv2.cvtColor(hashed, cv2.COLOR_RGB2GRAY), dtype=np.uint8),
        small=analysis_pixels(hashed),
        tiny=arrays[_BLURRED_SIDE],
        variants=encode_variants(arrays, quality=jpeg_quality, original=original)
        if "variants" in parts
        else None,
    )


def _facts(decoded: Decoded, blur_hash: str, bits: str) -> PictureFacts:
    return PictureFacts(
        format=decoded.format,
        media_type=decoded.media_type,
        width=decoded.width,
        height=decoded.height,
        orientation=decoded.exif.orientation,
        frame_count=decoded.frame_count,
        captured_at=decoded.exif.captured_at,
        gps=decoded.exif.gps,
        blur_hash=blur_hash,
        phash=bits,
    )
