"""Where lines of text stand in a picture: a map of likeliness by the detector, and boxes around what is likely in it.

The detector is one of differentiable binarization (Liao et al. 2020, https://arxiv.org/abs/1911.08947): it marks the middle
of each line, about two fifths of its height, and the box around a mark is grown by a distance of its area by its perimeter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

STEP: Final = 32
"""The detector works on sides that are multiples of this many pixels."""

_LIKELY: Final = 0.3
"""A pixel of the map is of a line from here on."""
_SURE: Final = 0.5
"""A mark is kept whose mean likeliness is at least this."""
_GROWTH: Final = 1.6
"""Area by perimeter, times this, is how far a box grows to each side. These three are rapidocr's."""
_THINNEST: Final = 2.0
"""Marks thinner than this many pixels of the map are noise: letters would be five pixels high."""
_MOST: Final = 2000
"""Lines of one picture at most."""

_THIN: Final = 16.0
"""Lines whose box is thinner in the map, letters of less than about 10 pixels, are looked at again."""
_FAINT: Final = 0.1
_FEWEST: Final = 12
"""So much likeliness, in at least so many pixels of a tile, calls for a closer look at it."""
_TILE: Final = 704
"""Longest side of a tile: 2000 × 1500 pixels at once cost 1.0 µs each, in tiles 0.4, and twenty times the memory."""
_ENLARGED: Final = 2.0
"""Pictures are never enlarged more: there is nothing more to see."""

Quads = NDArray[np.float64]
"""Corners (n, 4, 2) as x, y in pixels, clockwise from the top left one."""


@dataclass(frozen=True, slots=True)
class Looking:
    """How closely pictures are looked at.

    Attributes:
        first_side: longest side of the first look, in pixels; that of pictures with more than twice that is half theirs.
        enlarged_side: longest side up to which a picture may be enlarged for small letters.
        last_side: longest side of the last look at pictures that are larger than that.
    """

    first_side: int = 640
    enlarged_side: int = 1280
    last_side: int = 1920

    def __str__(self) -> str:
        """All three, as part of an engine's name."""
        return f"{self.first_side}-{self.enlarged_side}-{self.last_side}"

    def scales(self, longest: int) -> tuple[float, float]:
        """Scales of the first and of the last look at a picture with a longest side."""
        last = min(_ENLARGED, max(min(1.0, self.last_side / longest), self.enlarged_side / longest))
        return min(last, max(last / 2 if last <= 1 else 0.0, self.first_side / longest)), last


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes in pixels of the picture, in no order, perhaps reaching over its edges; and the scale of the last look."""

    quads: Quads
    scale: float


def find_lines(session: Any, rgb: NDArray[np.uint8], looking: Looking) -> Found:
    """Boxes around the lines of text of a picture.

    The first look is a coarse one. Where a line found is thin, or something is faintly likely that no line accounts for,
    the map is made again at twice the scale, tile by tile, until the lines are thick enough or the scale is the last. So a picture without text costs one small look, a large sign too, and small print as much as it needs.

    Args:
        session: the detector.
        rgb: (h, w, 3) uint8.
        looking: where to begin and to end.
    """
    height, width = rgb.shape[:2]
    scale, last = looking.scales(max(height, width))
    likely = likeliness(session, rgb, _size(rgb, scale))
    while True:
        quads = boxes(likely)
        if scale >= last or not (due := _due(likely, quads)).any():
            break
        scale = min(2 * scale, last)
        likely = _looked_again(session, rgb, likely, due, _size(rgb, scale))
    quads *= (width / likely.shape[1], height / likely.shape[0])
    return Found(quads, scale)


def _size(rgb: NDArray[np.uint8], scale: float) -> tuple[int, int]:
    """Width and height of the map."""
    return _stepped(rgb.shape[1] * scale), _stepped(rgb.shape[0] * scale)


def _due(likely: NDArray[np.float32], quads: Quads) -> NDArray[np.uint8]:
    """Pixels of the map (h, w), 1 where a closer look is due: thin lines, and what is faint outside of thick ones."""
    thin = thickness(quads) < _THIN
    due = (likely > _FAINT).astype(np.uint8)
    for quad in quads[~thin]:
        middle = quad.mean(axis=0)
        cv2.fillConvexPoly(due, np.rint(middle + (quad - middle) * 1.2).astype(np.int32), 0)
    for quad in quads[thin]:
        cv2.fillConvexPoly(due, np.rint(quad).astype(np.int32), 1)
    return due


def _looked_again(
    session: Any,
    rgb: NDArray[np.uint8],
    likely: NDArray[np.float32],
    due: NDArray[np.uint8],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """The map enlarged to a size, made anew in the tiles where a look is due."""
    picture = _resized(rgb, size)
    result = np.asarray(cv2.resize(likely, size, interpolation=cv2.INTER_LINEAR), np.float32)
    wanted = cv2.resize(due, size, interpolation=cv2.INTER_NEAREST)
    rows, columns = _cuts(size[1]), _cuts(size[0])
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            if np.count_nonzero(wanted[top:bottom, left:right]) < _FEWEST:
                continue
            y, x = max(0, top - STEP), max(0, left - STEP)
            tile = picture[y : bottom + STEP, x : right + STEP]
            seen = likeliness(session, tile, (tile.shape[1], tile.shape[0]))
            result[top:bottom, left:right] = seen[top - y : bottom - y, left - x : right - x]
    return result


def _cuts(side: int) -> list[int]:
    """Where tiles of about equal size begin and end, in whole steps."""
    steps, count = side // STEP, -(-side // _TILE)
    return [steps * i // count * STEP for i in range(count + 1)]


def thickness(quads: Quads) -> NDArray[np.float64]:
    """The shorter side of each box, in its pixels."""
    across = np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1)
    down = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)
    return np.asarray(np.minimum(across, down), np.float64)


def likeliness(session: Any, rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """The map (h, w), 0 to 1, of a picture brought to a size (w, h) in multiples of 32 pixels."""
    answer = session.run(None, {"x": normalized(_resized(rgb, size))})
    return np.asarray(answer[0][0, 0], np.float32)


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == rgb.shape[1::-1]:
        return rgb
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def normalized(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) as the models take it: (1, 3, h, w), blue first, -1 to 1."""
    middle = (127.5, 127.5, 127.5)
    return np.asarray(cv2.dnn.blobFromImage(rgb, 1 / 127.5, mean=middle, swapRB=True), np.float32)


def boxes(likely: NDArray[np.float32]) -> Quads:
    """Boxes around the marks of a map, in its pixels."""
    marks = cv2.dilate(np.asarray(likely > _LIKELY, np.uint8), np.ones((2, 2), np.uint8))
    contours, nested = cv2.findContours(marks, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour, (_, _, _, parent) in zip(contours, nested[0] if contours else (), strict=True):
        if parent >= 0:  # a hole
            continue
        middle, (w, h), angle = cv2.minAreaRect(contour)
        if min(w, h) < _THINNEST or _mean_within(likely, middle, (w, h), angle) < _SURE:
            continue
        growth = w * h * _GROWTH / (2 * (w + h))
        corners = cv2.boxPoints((middle, (w + 2 * growth, h + 2 * growth), angle))
        found.append(_clockwise(corners.astype(np.float64) + 0.5))
        if len(found) == _MOST:
            break
    return np.stack(found) if found else np.empty((0, 4, 2))


def _mean_within(
    likely: NDArray[np.float32],
    middle: Sequence[float],
    size: Sequence[float],
    angle: float,
) -> float:
    corners = cv2.boxPoints((middle, size, angle))
    limits = likely.shape[1] - 1, likely.shape[0] - 1
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int)
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillConvexPoly(inside, (corners - (left, top)).astype(np.int32), 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], inside)[0])


def _clockwise(corners: Quads) -> Quads:
    """The same corners, starting with the top left one, clockwise on the screen."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    top_left, bottom_left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    top_right, bottom_right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def _stepped(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)
