"""How a picture looks, in numbers: sharpness, contrast, colorfulness, clipping, and its descriptor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.descriptor import descriptor

FEATURES_SIDE: Final = 750
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
    pixels: npt.NDArray[np.uint8],
    small: npt.NDArray[np.uint8],
    dct: npt.NDArray[np.float32],
) -> VisualFeatures:
    """Measure one picture.

    Args:
        pixels: upright sRGB (h, w, 3), longest side at most `FEATURES_SIDE`.
        small: the same picture with a longest side of at most 128, for color and descriptor.
        dct: `phash.gray_dct` of the same picture.
    """
    gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    levels = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel() / gray.size
    scale = np.arange(256)
    mean = float(levels @ scale)
    deviation = math.sqrt(max(0.0, float(levels @ scale**2) - mean**2))
    return VisualFeatures(
        sharpness=_variance_of_laplacian(gray),
        contrast=deviation / 127.5,
        colorfulness=_colorfulness(small),
        clipped_shadows=float(levels[: _SHADOW + 1].sum()),
        clipped_highlights=float(levels[_HIGHLIGHT:].sum()),
        descriptor=descriptor(small, dct),
    )


def _variance_of_laplacian(gray: npt.NDArray[np.uint8]) -> float:
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    mean = cv2.sumElems(laplacian)[0] / gray.size
    return max(0.0, cv2.norm(laplacian, cv2.NORM_L2SQR) / gray.size - mean**2)


def _colorfulness(pixels: npt.NDArray[np.uint8]) -> float:
    r, g, b = np.moveaxis(pixels.astype(np.float32), 2, 0)
    red_green, yellow_blue = r - g, (r + g) / 2 - b
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
