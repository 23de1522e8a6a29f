"""Labels drawn on a stored, unrotated picture, turned into upright pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SWAPPING: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height (TIFF 6.0, tag 274), so that a stored size can be recognised."""


def turn_points(
    x: Floats, y: Floats, orientation: int, stored_width: float, stored_height: float
) -> tuple[Floats, Floats]:
    """Points in stored pixels (edges at 0 and width) as points in upright pixels; orientation 5 to 8."""
    flipped_x, flipped_y = stored_width - x, stored_height - y
    turned = {5: (y, x), 6: (flipped_y, x), 7: (flipped_y, flipped_x), 8: (y, flipped_x)}
    return turned[orientation]


def turn_boxes(
    boxes: Floats, orientation: int, stored_width: float, stored_height: float
) -> Floats:
    """Boxes [n, 4] as x, y, w, h in stored pixels, the same in upright pixels; orientation 5 to 8."""
    x, y, w, h = boxes.T
    ax, ay = turn_points(x, y, orientation, stored_width, stored_height)
    bx, by = turn_points(x + w, y + h, orientation, stored_width, stored_height)
    return np.stack([np.minimum(ax, bx), np.minimum(ay, by), h, w], axis=1)


def turn_polygon(
    polygon: Sequence[float], orientation: int, stored_width: float, stored_height: float
) -> list[float]:
    """A polygon x1, y1, x2, y2, … in stored pixels, the same in upright pixels; orientation 5 to 8."""
    points = np.asarray(polygon, dtype=np.float64)
    x, y = turn_points(points[0::2], points[1::2], orientation, stored_width, stored_height)
    return [float(v) for v in np.stack([x, y], axis=1).ravel()]


def turn_mask(rle: dict[str, Any], orientation: int) -> dict[str, Any]:
    """A compressed COCO mask (height, width, counts) of a stored picture, the same of the upright one; 5 to 8."""
    counts = _read_counts(rle["counts"])
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    # Runs go down the columns, so the flat array is the transposed picture: rows of the result are columns.
    transposed = flat.reshape(rle["width"], rle["height"])
    upright = {
        5: transposed,
        6: transposed[:, ::-1],
        7: transposed[::-1, ::-1],
        8: transposed[::-1, :],
    }[orientation]
    height, width = upright.shape
    return {"height": height, "width": width, "counts": _write_counts(_runs(upright.T.ravel()))}


def _runs(flat: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the alternating runs, the first of which counts zeros."""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], edges, [len(flat)]))
    runs: list[int] = np.diff(bounds).tolist()
    return [0, *runs] if len(flat) and flat[0] else runs


def _read_counts(text: str) -> list[int]:
    """Run lengths from COCO's text form: five bits a character, low first, from the fourth on as differences."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    return counts


def _write_counts(counts: Sequence[int]) -> str:
    """The reverse of `_read_counts`."""
    written = bytearray()
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            written.append(48 + (bits if done else bits | 0x20))
            if done:
                break
    return written.decode("ascii")
