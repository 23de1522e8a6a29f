"""One picture's bytes to everything that is measured of it, with a single decode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import cv2
import numpy as np

from aion_dagster.compute.blurhash import blurhash
from aion_dagster.compute.colors import ANALYSIS_SIDE, ColorAnalysis, analyze_colors
from aion_dagster.compute.decode import decode_picture
from aion_dagster.compute.exif import Gps
from aion_dagster.compute.features import FEATURES_SIDE, VisualFeatures, visual_features
from aion_dagster.compute.phash import gray_dct, phash
from aion_dagster.compute.variants import encode_variants, pyramid
from aion_dagster.schemas import VARIANTS

_WORKING_SIDE: Final = max(VARIANTS.values())
_SIDES: Final = (*VARIANTS.values(), ANALYSIS_SIDE, FEATURES_SIDE)
_HASHED_SIDE: Final = VARIANTS["small_256"]
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


def measure(
    data: bytes, *, parts: frozenset[str], n_colors: int, jpeg_quality: int, max_pixels: int
) -> Measured:
    """Everything about one picture. What is measured does not depend on which other `parts` are asked for.

    Raises:
        UndecodableError: the bytes are no picture, a damaged one, or one beyond `max_pixels`.
    """
    decoded = decode_picture(data, longest_side=_WORKING_SIDE, max_pixels=max_pixels)
    arrays = pyramid(decoded.pixels, (decoded.width, decoded.height), _SIDES)
    tiny = arrays[ANALYSIS_SIDE]
    gray = cv2.cvtColor(arrays[_HASHED_SIDE], cv2.COLOR_RGB2GRAY)
    dct = gray_dct(np.asarray(gray, dtype=np.uint8))
    original = (data, decoded.jpeg) if decoded.jpeg is not None else None
    facts = PictureFacts(
        format=decoded.format,
        media_type=decoded.media_type,
        width=decoded.width,
        height=decoded.height,
        orientation=decoded.exif.orientation,
        frame_count=decoded.frame_count,
        captured_at=decoded.exif.captured_at,
        gps=decoded.exif.gps,
        blur_hash=blurhash(arrays[_BLURRED_SIDE]),
        phash=phash(dct),
    )
    return Measured(
        facts=facts,
        variants=encode_variants(arrays, quality=jpeg_quality, original=original)
        if "variants" in parts
        else None,
        colors=analyze_colors(tiny, n_colors=n_colors) if "color_analyses" in parts else None,
        features=visual_features(arrays[FEATURES_SIDE], tiny, dct)
        if "visual_features" in parts
        else None,
    )
