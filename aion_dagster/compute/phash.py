"""Perceptual hash: 64 bits that stay nearly the same when a picture is scaled, recompressed or slightly recolored.

The low 8 × 8 frequencies of the DCT of a 32 × 32 grey picture, each compared with their median
(C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.resize import squeezed

SIDE: Final = 32
_LOW: Final = 8
_NOISE: Final = 0.05
"""Coefficients below this are rounding, not picture: without it a plain area would hash to random bits."""


def gray_dct(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The DCT-II (32, 32) of a grey picture (h, w) squeezed to a square of 32 pixels."""
    small = squeezed(gray, SIDE)
    return np.asarray(cv2.dct(small), dtype=np.float32)


def phash(dct: npt.NDArray[np.float32]) -> str:
    """16 hex digits from the result of `gray_dct`; compare by the number of differing bits."""
    low = dct[:_LOW, :_LOW].ravel()
    low = np.where(np.abs(low) < _NOISE, np.float32(0), low)
    ordered = np.sort(low)
    median = (ordered[_LOW**2 // 2 - 1] + ordered[_LOW**2 // 2]) / 2
    return np.packbits(low > median).tobytes().hex()
