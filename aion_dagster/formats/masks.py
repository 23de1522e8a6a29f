"""COCO masks without pycocotools: run-length coding, and the area of polygons as that library counts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SCALE: Final = 5
"""Boundaries are walked at five times the resolution, as in the COCO API."""

_POINTS_AT_ONCE: Final = 1 << 21
"""Boundary points that are held in memory together; bounds a chunk to about 200 MB."""


def encode_counts(counts: Sequence[int]) -> str:
    """The compressed string of an RLE's run lengths (column by column, zeros first).

    Values from the fourth on are differences to the value two before, written in groups of five bits with a
    continuation bit, each moved to a printable character (COCO API, compressed RLE).
    """
    out = bytearray()
    for i, count in enumerate(counts):
        value = int(count) - (int(counts[i - 2]) if i > 2 else 0)
        while True:
            bits = value & 0x1F
            value >>= 5
            done = value == (-1 if bits & 0x10 else 0)
            out.append((bits if done else bits | 0x20) + 48)
            if done:
                break
    return out.decode("ascii")


def decode_counts(text: str) -> NDArray[np.int64]:
    """The run lengths of a compressed RLE string.

    Raises:
        ValueError: the string is not a compressed RLE.
    """
    if not text:
        return np.zeros(0, dtype=np.int64)
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        raise ValueError("not a compressed RLE string")
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    if (ends - starts).max() > 11:
        raise ValueError("a run length of a compressed RLE is out of range")
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((codes & 0x1F) << shift, starts)
    negative = (codes[ends] & 0x10) != 0
    values = values - (negative.astype(np.int64) << np.minimum(shift[ends] + 5, 62))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return np.asarray(values, dtype=np.int64)


def rle_area(text: str) -> int:
    """Pixels that a compressed RLE covers.

    Raises:
        ValueError: the string is not a compressed RLE.
    """
    return int(decode_counts(text)[1::2].sum())


@dataclass(frozen=True)
class Polygons:
    """Many polygons in flat arrays.

    `points` is (P, 2) in pixels; `lengths` (n,) points of each polygon; `owners` (n,) ascending: which mask a polygon
    belongs to; `heights` and `widths` (n,) are those of the polygon's picture.
    """

    points: NDArray[np.float64]
    lengths: NDArray[np.int64]
    owners: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]


def polygon_areas(polygons: Polygons) -> dict[int, float]:
    """Pixels covered by the union of the polygons of each owner, inside its picture.

    Same rule as the COCO API (`rleFrPoly` and a union): the boundary is walked at five times the resolution, a pixel
    column is filled between pairs of the rows where the boundary crosses its middle.
    """
    areas: dict[int, float] = {}
    for chunk in _chunks(polygons):
        starts, ends, owners = _runs(chunk)
        areas.update(dict.fromkeys(chunk.owners.tolist(), 0.0))
        if len(starts):
            kept, total = _union(starts, ends, owners)
            areas.update(zip(kept.tolist(), total.astype(float).tolist(), strict=True))
    return areas


def _chunks(p: Polygons) -> Iterator[Polygons]:
    """Polygons in pieces that fit into memory; the polygons of one owner stay together."""
    first = np.cumsum(p.lengths) - p.lengths
    ahead = np.abs(np.diff(p.points, axis=0, append=p.points[-1:])).max(axis=1, initial=0.0)
    cost = np.add.reduceat(ahead, first) * 2 * _SCALE + p.lengths if len(first) else first
    new_owner = np.flatnonzero(np.diff(p.owners, prepend=-1) != 0)
    spent = np.cumsum(cost)
    begin = 0
    while begin < len(p.lengths):
        limit = (spent[begin - 1] if begin else 0) + _POINTS_AT_ONCE
        end = int(np.searchsorted(spent, limit))
        later = new_owner[new_owner > begin]
        fitting = later[later <= end]
        end = int(fitting[-1]) if len(fitting) and end < len(p.lengths) else end
        if end <= begin or (end < len(p.lengths) and not len(fitting)):
            end = int(later[0]) if len(later) else len(p.lengths)
        low, high = first[begin], first[end - 1] + p.lengths[end - 1]
        cut = slice(begin, end)
        yield Polygons(
            p.points[low:high], p.lengths[cut], p.owners[cut], p.heights[cut], p.widths[cut]
        )
        begin = end


def _boundary(p: Polygons) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Columns, rows and polygon number of the points along every boundary, at five times the resolution."""
    number = np.repeat(np.arange(len(p.lengths)), p.lengths)
    corner = np.trunc(_SCALE * p.points + 0.5).astype(np.int64)
    last = np.cumsum(p.lengths) - 1
    following = np.arange(1, len(corner) + 1)
    following[last] = last - p.lengths + 1
    target = corner[following]
    delta = np.abs(target - corner)
    flat = delta[:, 0] >= delta[:, 1]
    steps = delta.max(axis=1)
    backward = np.where(flat, corner[:, 0] > target[:, 0], corner[:, 1] > target[:, 1])
    low = np.where(backward[:, None], target, corner)
    high = np.where(backward[:, None], corner, target)
    rise = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0])
    slope = rise / np.maximum(steps, 1)
    edge = np.repeat(np.arange(len(corner)), steps + 1)
    walked = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    t = np.where(backward[edge], steps[edge] - walked, walked)
    main = t + np.where(flat, low[:, 0], low[:, 1])[edge]
    start = np.where(flat, low[:, 1], low[:, 0])[edge]
    cross = np.trunc(start + slope[edge] * t + 0.5).astype(np.int64)
    column = np.where(flat[edge], main, cross)
    row = np.where(flat[edge], cross, main)
    return column, row, number[edge]


def _runs(p: Polygons) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Filled runs [start, end) in column-major pixel numbers, and their owner."""
    column, row, number = _boundary(p)
    moved = (column[1:] != column[:-1]) & (number[1:] == number[:-1])
    left = np.minimum(column[1:], column[:-1])[moved]
    top = np.minimum(row[1:], row[:-1])[moved]
    polygon = number[1:][moved]
    pixel, rest = np.divmod(left - _SCALE // 2, _SCALE)  # the middle of a pixel column
    inside = (rest == 0) & (pixel >= 0) & (pixel <= p.widths[polygon] - 1)
    polygon, pixel, top = polygon[inside], pixel[inside], top[inside]
    height = p.heights[polygon]
    y = np.ceil(np.clip((top + 0.5) / _SCALE - 0.5, 0, height)).astype(np.int64)
    position = pixel * height + y
    count = np.bincount(polygon, minlength=len(p.lengths))
    odd = np.flatnonzero(count % 2)
    polygon = np.concatenate((polygon, odd))
    position = np.concatenate((position, p.heights[odd] * p.widths[odd]))
    order = np.lexsort((position, polygon))
    position, polygon = position[order], polygon[order]
    return position[0::2], position[1::2], p.owners[polygon[0::2]]


def _union(
    starts: NDArray[np.int64], ends: NDArray[np.int64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The owners, and the length of the union of each one's runs."""
    kept, place = np.unique(owners, return_inverse=True)
    base = place * (int(ends.max()) + 1)  # owners cannot overlap one another
    order = np.lexsort((starts, place))
    start, end, place = (starts + base)[order], (ends + base)[order], place[order]
    reached = np.concatenate(([0], np.maximum.accumulate(end)[:-1]))
    gained = np.maximum(end - np.maximum(start, reached), 0)
    total = np.zeros(len(kept), dtype=np.int64)
    np.add.at(total, place, gained)
    return kept, total
