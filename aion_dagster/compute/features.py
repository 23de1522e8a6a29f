"""How a picture looks, in numbers: sharpness, contrast, colorfulness, clipping, and its descriptor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.descriptor import descriptor

FEATURES_SIDE: Final = 256
"""Longest side at which sharpness, contrast and clipping are measured; smaller pictures as they are."""

_SHADOW, _HIGHLIGHT = 2, 253
"""Grey levels at or beyond which nothing is left to recover."""


@dataclass(frozen=True, slots=True)
class VisualFeatures:
    """`sharpness`: variance of the Laplacian of grey levels 0–255 (J. Pech-Pacheco et al., 2000), higher is sharper.

    `contrast`: standard deviation of grey levels as a share of the largest possible, 0–1. `colorfulness`: 0 for grey to
    about 110 (D. Hasler, S. Süsstrunk, Measuring colorfulness in natural images, 2003). `clipped_shadows`,
    `clipped_highlights`: shares 0–1 of pixels at grey ≤ 2 and ≥ 253. `descriptor` (128,), length 1.
    """

    sharpness: float
    contrast: float
    colorfulness: float
    clipped_shadows: float
    clipped_highlights: float
    descriptor: npt.NDArray[np.float32]


def visual_features(
    gray: npt.NDArray[np.uint8],
    small: npt.NDArray[np.uint8],
    dct: npt.NDArray[np.float32],
) -> VisualFeatures:
    """Measure one picture.

    Args:
        gray: upright grey levels (h, w), longest side at most `FEATURES_SIDE`.
        small: the same picture with a longest side of at most 128, for color and descriptor.
        dct: `phash.gray_dct` of the same picture.
    """
    return VisualFeatures(
        sharpness=_variance(cv2.Laplacian(gray, cv2.CV_16S)),
        contrast=math.sqrt(_variance(gray)) / 127.5,
        colorfulness=_colorfulness(small),
        clipped_shadows=np.count_nonzero(gray <= _SHADOW) / gray.size,
        clipped_highlights=np.count_nonzero(gray >= _HIGHLIGHT) / gray.size,
        descriptor=descriptor(small, dct),
    )


def _variance(levels: cv2.typing.MatLike) -> float:
    """Of whole numbers (h, w), from their exact sums: a flat picture has 0 and nothing near it."""
    total, squares = round(cv2.sumElems(levels)[0]), round(cv2.norm(levels, cv2.NORM_L2SQR))
    return (levels.size * squares - total**2) / levels.size**2


def _colorfulness(pixels: npt.NDArray[np.uint8]) -> float:
    red, green, blue = (np.asarray(x, dtype=np.int16) for x in cv2.split(pixels))
    red_green, twice_yellow_blue = red - green, red + green - 2 * blue
    spread = math.sqrt(_variance(red_green) + _variance(twice_yellow_blue) / 4)
    mean = math.hypot(cv2.sumElems(red_green)[0], cv2.sumElems(twice_yellow_blue)[0] / 2)
    return spread + 0.3 * mean / red.size
