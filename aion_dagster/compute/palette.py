"""The dominant colors of a picture: weighted k-means in L*a*b* over a 5-bit RGB histogram, without chance."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.color_space import fast_lab_of_rgb

Floats = npt.NDArray[np.float32]

_SECOND: Final = float(1 << 30)
_ITERATIONS: Final = 8
_MOVING_CELLS: Final = 1024
"""Centers move by the heaviest cells; all cells are then assigned once."""
_SEED_BINS: Final = 256
_SETTLED: Final = 0.5
"""Squared L*a*b* movement of a center below which another round changes nothing that could be seen."""
_SAME: Final = 3.0
"""L*a*b* distance below which two colors are one (just noticeable is about 2.3: M. Mahy et al., 1994)."""


def histogram(pixels: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Mean RGB 0–255 (n, 3) and share (n,) of each occupied cell of a 32 × 32 × 32 grid over pixels (h, w, 3)."""
    packed = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA).view("<u4").ravel()
    red, green, blue = packed & 255, packed >> 8 & 255, packed >> 16 & 255
    cells = (red >> 3 << 10 | green >> 3 << 5 | blue >> 3).astype(np.intp)
    # Two sums ride in one float64: below 2²² pixels each stays under 2³⁰, exactly.
    red_green = np.bincount(cells, red + green * _SECOND, minlength=1 << 15)
    blue_count = np.bincount(cells, blue + _SECOND, minlength=1 << 15)
    occupied = np.flatnonzero(blue_count > 0)
    greens, reds = _apart(red_green[occupied])
    counts, blues = _apart(blue_count[occupied])
    rgb = np.stack([reds, greens, blues], axis=1) / counts[:, None]
    return rgb.astype(np.float32), (counts / len(cells)).astype(np.float32)


def _apart(sums: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], ...]:
    high = np.floor(sums * (1 / _SECOND))
    return high, sums - high * _SECOND


def dominant(rgb: Floats, shares: Floats, n_colors: int) -> tuple[npt.NDArray[np.float64], ...]:
    """At most `n_colors` L*a*b* colors (k, 3) and their shares (k,), largest share first.

    `rgb` and `shares` come from `histogram`. Near-identical colors are merged, so that k may be smaller.
    """
    heaviest = np.argsort(-shares, kind="stable")
    lab, shares = fast_lab_of_rgb(rgb)[heaviest], shares[heaviest]
    centers = _seeds(lab, shares, n_colors)
    weighted = np.concatenate([lab * shares[:, None], shares[:, None]], axis=1)
    homogeneous = np.concatenate([lab, np.ones((len(lab), 1), np.float32)], axis=1)
    for _ in range(_ITERATIONS):
        sums = _assign(homogeneous[:_MOVING_CELLS], weighted[:_MOVING_CELLS], centers)
        moved = sums[:, :3] / sums[:, 3:]
        settled = len(moved) == len(centers) and ((moved - centers) ** 2).sum(1).max() < _SETTLED
        centers = moved
        if settled:
            break
    return _merged(_assign(homogeneous, weighted, centers).astype(np.float64))


def _seeds(lab: Floats, shares: Floats, n_colors: int) -> Floats:
    """Farthest-first among the heaviest cells (sorted so): the heaviest, then again and again the largest share × distance²."""
    points, weights = lab[:_SEED_BINS], shares[:_SEED_BINS]
    squares = (points**2).sum(1)
    scores_of = (squares[:, None] + squares[None] - 2 * points @ points.T) * weights
    chosen = [0]
    scores = scores_of[0]
    for _ in range(min(n_colors, len(points)) - 1):
        best = int(scores.argmax())
        if scores[best] <= _SAME * weights[best]:
            break
        chosen.append(best)
        scores = np.minimum(scores, scores_of[best])
    return points[chosen]


def _assign(homogeneous: Floats, weighted: Floats, centers: Floats) -> Floats:
    """Sums of L, a, b and share (k, 4) over the cells nearest to each center; centers without cells are left out."""
    system = np.concatenate([centers * -2, (centers**2).sum(1, keepdims=True)], axis=1)
    distances = system @ homogeneous.T
    nearest = distances == distances.min(axis=0)
    sums = nearest.astype(np.float32) @ weighted
    return np.asarray(sums[sums[:, 3] > 0])


def _merged(sums: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    while True:
        centers = sums[:, :3] / sums[:, 3:]
        gaps = ((centers[:, None] - centers[None]) ** 2).sum(2)
        np.fill_diagonal(gaps, np.inf)
        i, j = divmod(int(gaps.argmin()), len(gaps))
        if not gaps[i, j] < _SAME**2:
            break
        sums[i] += sums[j]
        sums = np.delete(sums, j, axis=0)
    order = np.argsort(-sums[:, 3], kind="stable")
    return centers[order], sums[order, 3] / sums[:, 3].sum()
