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
from aion_dagster.compute.resize import fitted_size, shrink_to
from aion_dagster.compute.variants import encode_variant, pyramid
from aion_dagster.schemas import VARIANTS

_WORKING_SIDE: Final = max(VARIANTS.values())
_HASHED_SIDE: Final = FEATURES_SIDE
_BLURRED_SIDE: Final = VARIANTS["tiny_64"]
_LARGE_SIDES: Final = frozenset(VARIANTS.values()) - {_BLURRED_SIDE}
"""Arrays of these are there for one picture at a time; of the others for all pictures measured together."""


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
    """What is kept of a picture when its large arrays are gone.

    `decoded` without the file, with pixels that fit into `_HASHED_SIDE`; `encoded` has the variants that needed larger
    ones, by their side.
    """

    decoded: Decoded
    encoded: dict[int, bytes]

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        return self.decoded.pixels

    @property
    def full_size(self) -> tuple[int, int]:
        return self.decoded.width, self.decoded.height


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
    quality = jpeg_quality if "variants" in parts else None
    looked = [_look(data, quality, max_pixels) for data in pictures]
    seen = [s for s in looked if isinstance(s, _Seen)]
    tiny = [shrink_to(s.pixels, fitted_size(*s.full_size, _BLURRED_SIDE)) for s in seen]
    variants = [_variants(*both, quality) for both in zip(seen, tiny, strict=True)]
    blurred = [blurhash(pixels) for pixels in tiny]
    gray = [np.asarray(cv2.cvtColor(s.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8) for s in seen]
    dcts = [gray_dct(levels) for levels in gray]
    hashed = [phash(dct) for dct in dcts]
    small = [analysis_pixels(s.pixels) for s in seen]
    colors = (
        analyze_all(small, n_colors=n_colors) if "color_analyses" in parts else [None] * len(seen)
    )
    features = [
        visual_features(*three) if "visual_features" in parts else None
        for three in zip(gray, small, dcts, strict=True)
    ]
    facts = [_facts(s.decoded, *hashes) for s, *hashes in zip(seen, blurred, hashed, strict=True)]
    measured = iter(Measured(*four) for four in zip(facts, variants, colors, features, strict=True))
    return [next(measured) if isinstance(s, _Seen) else s for s in looked]


def _look(data: bytes, jpeg_quality: int | None, max_pixels: int) -> _Seen | UndecodableError:
    """Decode, shrink, and, unless `jpeg_quality` is None, encode what is large."""
    try:
        decoded = decode_picture(data, longest_side=_WORKING_SIDE, max_pixels=max_pixels)
    except UndecodableError as error:
        return error
    original = (data, decoded.jpeg) if decoded.jpeg is not None else None
    encoded: dict[int, bytes] = {}
    before, latest = None, None
    pixels, full_size = decoded.pixels, (decoded.width, decoded.height)
    for side, pixels in pyramid(
        decoded.pixels, full_size, _LARGE_SIDES, soft=decoded.soft, overwrite=True
    ):
        if pixels is not before:
            latest = None
            if jpeg_quality is not None and side > _HASHED_SIDE:
                latest = encode_variant(pixels, quality=jpeg_quality, original=original)
        if latest is not None:
            encoded[side] = latest
        before = pixels
    return _Seen(replace(decoded, pixels=pixels, jpeg=None, soft=None), encoded)


def _variants(
    seen: _Seen, tiny: npt.NDArray[np.uint8], jpeg_quality: int | None
) -> dict[str, bytes] | None:
    """All of them by name; None where no `jpeg_quality` says that they are wanted."""
    if jpeg_quality is None:
        return None
    by_side = dict(seen.encoded)
    if _HASHED_SIDE not in by_side:
        by_side[_HASHED_SIDE] = encode_variant(seen.pixels, quality=jpeg_quality)
    by_side[_BLURRED_SIDE] = (
        by_side[_HASHED_SIDE] if tiny is seen.pixels else encode_variant(tiny, quality=jpeg_quality)
    )
    return {name: by_side[side] for name, side in VARIANTS.items()}


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
