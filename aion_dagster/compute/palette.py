"""The dominant colors of a picture: k-means in L*a*b* over the pixels of a small copy, without chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.color_space import lab_points

Floats = npt.NDArray[np.float32]
Rows = TypeVar("Rows", npt.NDArray[np.uint8], npt.NDArray[np.float32])

_SEEDING_PIXELS: Final = 1000
"""The first centers are among about as many pixels."""
_MOVING_PIXELS: Final = 640
"""Centers move by about as many, once; then all pixels are assigned. All pixels as seeds and a second move cost a quarter more
and were no nearer on 80 pictures that nothing here was chosen by: mean CIEDE2000 by that of k-means 1.024 instead of 1.028 (n = 8)
and 1.040 instead of 1.039 (n = 16), with a standard error of 0.005."""
_AT_ONCE: Final = 4096
"""Pixels assigned by one product: larger ones are given to several threads by BLAS, which then wait for each other."""
_SEED_CELLS: Final = 64
_CELLS: Final = 1 << 12
_SAME: Final = 3.0
"""L*a*b* distance below which two colors are one (just noticeable is about 2.3: M. Mahy et al., 1994)."""
_ONESELF: Final = np.diag(np.full(16, np.inf))


def dominant(
    pictures: Sequence[npt.NDArray[np.uint8]], n_colors: int
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """At most `n_colors` L*a*b* colors (k, 3) and their shares (k,), largest share first, of each of some pictures.

    Near-identical colors are merged, so that k may be smaller. Pictures are sRGB pixels (h, w, 3); each step is done for
    all of them before the next, which is faster and changes nothing.
    """
    points = [lab_points(pixels) for pixels in pictures]
    cells = [_heaviest_cells(*both) for both in zip(pictures, points, strict=True)]
    seeds = [_seeds(*cell, n_colors) for cell in cells]
    centers = [_moved(*both) for both in zip(points, seeds, strict=True)]
    sums = [_sums(*both) for both in zip(points, centers, strict=True)]
    return [_merged(total[total[:, 3] > 0]) for total in sums]


def _some(points: Rows, count: int) -> Rows:
    """About `count` of the points (n, …); an odd step goes through all columns of a picture, whatever its width."""
    return points[:: len(points) // count | 1]


def _moved(points: Floats, centers: Floats) -> Floats:
    """The mean of those of some points that are nearest to each center; a center that has none stays."""
    moving = _some(points, _MOVING_PIXELS)
    sums = _assign(np.ascontiguousarray(moving.T), moving, centers)
    counts = sums[:, 3:]
    return np.where(counts > 0, sums[:, :3] / np.maximum(counts, 1), centers)


def _sums(points: Floats, centers: Floats) -> npt.NDArray[np.float64]:
    """`_assign`, whatever the number of points."""
    across = np.ascontiguousarray(points.T)
    total = np.zeros((len(centers), 4))
    for start in range(0, len(points), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        total += _assign(across[:, part], points[part], centers)
    return total


def _heaviest_cells(pixels: npt.NDArray[np.uint8], points: Floats) -> tuple[Floats, Floats]:
    """A point (n, 3) in each of the fullest cells of a 16 × 16 × 16 grid over RGB, fullest first, and their counts (n,)."""
    some = np.ascontiguousarray(_some(pixels.reshape(-1, 3), _SEEDING_PIXELS))
    points = _some(points, _SEEDING_PIXELS)
    levels = cv2.cvtColor(some[None], cv2.COLOR_RGB2BGR555).view("<u2").ravel()
    cells = (levels >> 1 & 15 | levels >> 2 & 240 | levels >> 3 & 3840).astype(np.intp)
    counts = np.bincount(cells, minlength=_CELLS)
    a_pixel = np.empty(_CELLS, dtype=np.intp)
    a_pixel[cells] = np.arange(len(cells))
    occupied = np.flatnonzero(counts)
    heaviest = occupied[np.argsort(-counts[occupied], kind="stable")[:_SEED_CELLS]]
    return points[a_pixel[heaviest], :3], counts[heaviest].astype(np.float32)


def _seeds(points: Floats, weights: Floats, n_colors: int) -> Floats:
    """Farthest-first among `points`: the first, then again and again the largest weight × distance²."""
    squares = (points * points).sum(axis=1)
    scores_of = points @ (points.T * -2)
    scores_of += squares
    scores_of += squares[:, None]
    scores_of *= weights
    chosen = [0]
    scores = scores_of[0].copy()
    for _ in range(min(n_colors, len(points)) - 1):
        best = int(scores.argmax())
        if scores[best] <= _SAME * weights[best]:
            break
        chosen.append(best)
        np.minimum(scores, scores_of[best], out=scores)
    return points[chosen]


def _assign(across: Floats, points: Floats, centers: Floats) -> Floats:
    """Sums of L, a, b and 1 (k, 4) over the points nearest to each center.

    `points` (n, 4) are L, a, b and 1; `across` (4, n) the same.
    """
    squares = (centers * centers).sum(axis=1, keepdims=True)
    distances = np.concatenate([centers * -2, squares], axis=1) @ across
    nearest = distances == distances.min(axis=0)
    return np.asarray(nearest.astype(np.float32) @ points)


def _merged(
    sums: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centers and shares, those of one color put together."""
    while True:
        count = len(sums)
        centers = sums[:, :3] / sums[:, 3:]
        gaps = ((centers[:, None] - centers) ** 2).sum(axis=2) + _ONESELF[:count, :count]
        i, j = divmod(int(gaps.argmin()), count)
        if not gaps[i, j] < _SAME**2:
            break
        sums[i] += sums[j]
        sums = sums[np.arange(count) != j]
    order = np.argsort(-sums[:, 3], kind="stable")
    return centers[order], sums[order, 3] / sums[:, 3].sum()
