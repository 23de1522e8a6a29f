"""Perceptual hash: 64 bits that stay nearly the same when a picture is scaled, recompressed or slightly recolored.

The low 8 × 8 frequencies of the DCT of a 32 × 32 grey picture, each compared with their median
(C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from aion_dagster.compute.resize import lanczos_rows

_SIDE: Final = 32
_LOW: Final = 8
_AT_ONCE: Final = 4
"""Frequencies of one product: larger products are given to several threads by BLAS, which then wait for each other."""
_NOISE: Final = 0.05
"""Coefficients below this are rounding, not picture: without it a plain area would hash to random bits."""


def gray_dct(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The low 8 × 8 frequencies (orthonormal DCT-II) of a grey picture (h, w) squeezed by Lanczos to 32 × 32 pixels."""
    height, width = gray.shape
    down = _low_waves(height).reshape(-1, _AT_ONCE, height)
    rows = np.matmul(down, gray.astype(np.float32)).reshape(_LOW, width)
    return np.asarray(rows @ _low_waves(width).T, dtype=np.float32)


@lru_cache(maxsize=256)
def _low_waves(length: int) -> npt.NDArray[np.float32]:
    """Squeezing `length` pixels to 32 and their low frequencies, as one matrix (8, length)."""
    places = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
    waves = np.cos(np.outer(np.arange(_LOW), places)) * np.sqrt(2 / _SIDE)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves @ lanczos_rows(length, _SIDE), dtype=np.float32)


def phash(dct: npt.NDArray[np.float32]) -> str:
    """16 hex digits from the result of `gray_dct`; compare by the number of differing bits."""
    low = dct.ravel()
    low = np.where(np.abs(low) < _NOISE, np.float32(0), low)
    ordered = np.sort(low)
    median = (ordered[_LOW**2 // 2 - 1] + ordered[_LOW**2 // 2]) / 2
    return np.packbits(low > median).tobytes().hex()
