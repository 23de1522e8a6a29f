"""Colors in small cells of L*a*b*, and how near to a given color anything in a cell can be by CIEDE2000."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.floating[Any]]

_SIDE: Final = 5.0
_OFFSET: Final = 512
_25_POW_7: Final = 25.0**7
_LARGEST_T: Final = 1.93
"""T of CIEDE2000 is never above 1 + 0.17 + 0.24 + 0.32 + 0.20."""


@dataclass(frozen=True)
class ColorCells:
    """Runs of rows whose colors lie in one cell of side 5, with the box that they really fill.

    Attributes:
        order: (n,) the rows by cell; rows whose color is not finite are in no cell.
        starts: (m + 1,) where each cell begins in `order`.
        low: (3, m) the least L*, a*, b* of each cell.
        high: (3, m) the largest.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    low: Doubles
    high: Doubles

    @classmethod
    def of(cls, lab: NDArray[np.float32]) -> Self:
        """Put colors (n, 3) into cells."""
        known = np.flatnonzero(np.isfinite(lab).all(axis=1))
        bins = np.floor(lab[known] / _SIDE).astype(np.int64).clip(-_OFFSET, _OFFSET - 1) + _OFFSET
        number = (bins[:, 0] * 2 * _OFFSET + bins[:, 1]) * 2 * _OFFSET + bins[:, 2]
        by_cell = np.argsort(number, kind="stable")
        ordered = number[by_cell]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        order = known[by_cell]
        colors = lab[order].T
        if not len(first):
            nothing = np.zeros((3, 0))
            return cls(order, np.zeros(1, np.int64), nothing, nothing)
        low = np.minimum.reduceat(colors, first, axis=1).astype(np.float64)
        high = np.maximum.reduceat(colors, first, axis=1).astype(np.float64)
        return cls(order, np.append(first, len(order)), low, high)

    def rows(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in `order` of everything in some cells."""
        starts, sizes = self.starts[cells], np.diff(self.starts)[cells]
        ends = np.cumsum(sizes)
        before = np.arange(int(ends[-1]) if len(ends) else 0)
        return np.asarray(before + np.repeat(starts - ends + sizes, sizes), np.int64)

    def least_delta_e(self, wanted: tuple[float, float, float]) -> Doubles:
        """A number (m,) that no color of the cell is nearer to `wanted` than, by CIEDE2000.

        With Δ the distance in the a'b' plane, Δ² = ΔC'² + ΔH'², and as S_H <= 1 + 0.015 C' T < S_C, the sum of
        (ΔC' / S_C)² and (ΔH' / S_H)² is least where ΔC' is largest. The mixed term takes no more than |R_T| / 2 of
        it. Each part is replaced by its bound over the box.
        """
        lightness, a, b = wanted
        chroma = math.hypot(a, b)
        near_c, far_c = _distances(self.low[1:], self.high[1:])
        stretch, most_stretch = _stretch((far_c + chroma) / 2), _stretch((near_c + chroma) / 2)
        gap_a, gap_b = (_gap(self.low[i], self.high[i], wanted[i]) for i in (1, 2))
        plane = (stretch * gap_a) ** 2 + gap_b**2
        # C' lies between C times the least stretch of a alone and C times the largest of both.
        own = (np.sqrt((stretch * a) ** 2 + b * b), np.sqrt((most_stretch * a) ** 2 + b * b))
        least_c, most_c = near_c, far_c * most_stretch
        most_gap = np.maximum(np.abs(most_c - own[0]), np.abs(own[1] - least_c))
        mean_c = (most_c + own[1]) / 2
        by_chroma = np.minimum(most_gap**2, plane) / (1 + 0.045 * mean_c) ** 2
        by_hue = np.maximum(plane - most_gap**2, 0) / (1 + 0.015 * _LARGEST_T * mean_c) ** 2
        kept = 1 - self._most_rotation(a, b, mean_c) / 2
        middle = (np.stack([self.low[0], self.high[0]]) + lightness) / 2
        offset = ((middle - 50) ** 2).max(axis=0)
        by_light = _gap(self.low[0], self.high[0], lightness) / (
            1 + 0.015 * offset / np.sqrt(20 + offset)
        )
        return np.asarray(np.sqrt(by_light**2 + kept * (by_chroma + by_hue)))

    def _most_rotation(self, a: float, b: float, mean_c: Doubles) -> Doubles:
        """The largest |R_T|: of the chroma, times the sine of 60° exp(-((h - 275°) / 25°)²) of the mean hue.

        The mean of two hues is the middle of the shorter way between them. Stretching a* turns hues by less than 12°.
        """
        corners = np.stack(
            [
                np.arctan2(y, x)
                for x in (self.low[1], self.high[1])
                for y in (self.low[2], self.high[2])
            ]
        )
        middle = np.arctan2(self.low[2] + self.high[2], self.low[1] + self.high[1])
        spread = np.degrees(np.abs(_turn(corners - middle)).max(axis=0)) + _STRETCH_TURN
        turn = np.degrees(_turn(middle - math.atan2(b, a)))
        around = math.degrees(math.atan2(b, a)) + turn / 2
        apart = np.abs((around - 275 + 180) % 360 - 180) - (spread + _STRETCH_TURN) / 2
        sine = np.sin(np.radians(60 * np.exp(-((np.maximum(apart, 0) / 25) ** 2))))
        # Where the cell holds grey, or the two ways round are equally long, the mean hue may be any.
        holds_grey = ((self.low[1:] <= 0) & (self.high[1:] >= 0)).all(axis=0)
        any_hue = holds_grey | (np.abs(turn) + spread + _STRETCH_TURN >= 180) | (a == 0 and b == 0)
        sine = np.where(any_hue, math.sin(math.radians(60)), sine)
        seventh = mean_c**7
        return np.asarray(2 * np.sqrt(seventh / (seventh + _25_POW_7)) * sine)


_STRETCH_TURN: Final = 12.0
"""Degrees by which a hue turns at most when a* is stretched by 1 to 1.5: atan √1.5 - atan √(1 / 1.5) = 11.54."""


def _stretch(mean_chroma: Doubles) -> Doubles:
    """1 + G of CIEDE2000: 1.5 for greys down to 1."""
    seventh = mean_chroma**7
    return np.asarray(1.5 - 0.5 * np.sqrt(seventh / (seventh + _25_POW_7)))


def _gap(low: Doubles, high: Doubles, value: float) -> Doubles:
    """How far a value is outside of intervals; 0 inside."""
    return np.asarray(np.maximum(np.maximum(low - value, value - high), 0))


def _distances(low: Doubles, high: Doubles) -> tuple[Doubles, Doubles]:
    """Least and largest distance from the origin to boxes (2, m)."""
    near = np.maximum(np.maximum(low, -high), 0)
    far = np.maximum(np.abs(low), np.abs(high))
    return np.hypot(*near), np.hypot(*far)


def _turn(angle: Doubles) -> Doubles:
    """The same angle between -π and π."""
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)
