"""A vector for similar looks: colors by region, edges by place, coarse structure. It knows nothing of meaning.

128 numbers = L*a*b* histograms of three bands (48), histograms of oriented gradients in 2 × 3 cells (48; after N. Dalal,
B. Triggs, Histograms of Oriented Gradients for Human Detection, 2005), and low DCT frequencies (32).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]

SIDE: Final = 48
_BANDS, _LIGHT_BINS, _HUE_BINS = 3, 6, 8
_ORIENTATIONS: Final = 8
_CELLS: Final = (2, 3)
_GRAYISH: Final = 8.0
_WEIGHTS: Final = (1.0, 1.0, 0.7)
_BAND: Final = np.repeat(np.arange(_BANDS, dtype=np.uint16), SIDE * SIDE // _BANDS)
_LIGHT_OF_BAND: Final = _BAND * np.uint16(_LIGHT_BINS)
_HUE_OF_BAND: Final = _BAND.astype(np.intp) * (2 * _HUE_BINS)
"""First bin of each pixel's band."""
_CELL: Final = _ORIENTATIONS * (
    np.arange(SIDE)[:, None] * _CELLS[0] // SIDE * _CELLS[1]
    + np.arange(SIDE)[None] * _CELLS[1] // SIDE
)
"""First bin of each pixel's cell."""
# The 32 frequencies after the mean that lie lowest, along the diagonals.
_FREQUENCIES: Final = sorted(
    ((i, j) for i in range(8) for j in range(8)), key=lambda p: (p[0] + p[1], p[0])
)[1:33]
_ROWS, _COLUMNS = np.array(_FREQUENCIES).T


def descriptor(pixels: npt.NDArray[np.uint8], dct: Floats) -> Floats:
    """The vector (128,), float32, of length 1; compare by the cosine.

    Args:
        pixels: upright sRGB (h, w, 3), 64 pixels on the longer side or more.
        dct: what `phash.gray_dct` gives for the same picture.
    """
    # Up to a factor of two linear sampling leaves no pixel out, as averages do, in a third of their time.
    twice_at_most = max(pixels.shape[:2]) <= 2 * SIDE
    sampling = cv2.INTER_LINEAR if twice_at_most else cv2.INTER_AREA
    square = cv2.resize(pixels, (SIDE, SIDE), interpolation=sampling)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB)
    light, a, b = (np.asarray(plane, dtype=np.uint8) for plane in cv2.split(lab))
    parts = (_colors(light, a, b), _gradients(light), _structure(dct))
    vector = np.concatenate([w * _unit(p) for w, p in zip(_WEIGHTS, parts, strict=True)])
    return _unit(vector).astype(np.float32)


@lru_cache(maxsize=1)
def _tables() -> tuple[npt.NDArray[np.intp], Floats]:
    """Hue bin of every (a, b), and how much its color counts: grey areas' noise has no say."""
    a, b = np.indices((256, 256), dtype=np.float32) - 128
    chroma, hue = cv2.cartToPolar(a, b)
    hue_bin = (np.asarray(hue) * (_HUE_BINS / (2 * np.pi))).astype(np.intp) % _HUE_BINS
    hue_bin += np.where(np.asarray(chroma) >= _GRAYISH, _HUE_BINS, 0)
    return hue_bin.ravel(), np.minimum(np.asarray(chroma) / 40, 1).astype(np.float32).ravel()


def _colors(light: Levels, a: Levels, b: Levels) -> npt.NDArray[np.float64]:
    """Square roots (Hellinger) of the shares of lightness, hue, and grey or colored, per band."""
    hue_bins, amounts = _tables()
    color = (a.ravel().astype(np.intp) << 8) | b.ravel()
    hue_bin = _HUE_OF_BAND + hue_bins[color]
    size = _BANDS * 2 * _HUE_BINS
    hues = np.bincount(hue_bin, amounts[color], minlength=size).reshape(_BANDS, 2, _HUE_BINS)
    counts = np.bincount(hue_bin, minlength=size).reshape(_BANDS, 2, _HUE_BINS)
    light_bin = _LIGHT_OF_BAND + (light.ravel() * np.uint16(_LIGHT_BINS) >> 8)
    lights = np.bincount(light_bin, minlength=_BANDS * _LIGHT_BINS).reshape(_BANDS, _LIGHT_BINS)
    shares = np.concatenate([lights, hues.sum(axis=1), counts.sum(axis=2)], axis=1)
    return np.asarray(np.sqrt(shares.ravel()))


def _gradients(gray: Levels) -> npt.NDArray[np.float64]:
    dx, dy = cv2.spatialGradient(gray)
    magnitude, angle = cv2.cartToPolar(dx.astype(np.float32), dy.astype(np.float32))
    orientation = (angle * (_ORIENTATIONS / np.pi)).astype(np.intp) & _ORIENTATIONS - 1
    bins = _CELL + orientation
    size = _CELLS[0] * _CELLS[1] * _ORIENTATIONS
    return np.sqrt(np.bincount(bins.ravel(), magnitude.ravel(), minlength=size))


def _structure(dct: Floats) -> npt.NDArray[np.float64]:
    low = dct[_ROWS, _COLUMNS].astype(np.float64)
    return np.asarray(np.sign(low) * np.sqrt(np.abs(low)))


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = float(np.sqrt(vector @ vector))
    return vector / length if length > 0 else vector
