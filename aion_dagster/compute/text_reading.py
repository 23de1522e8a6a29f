"""What lines of text say: each is cut out, brought to 48 pixels in height, and read letter by letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.text_finding import Quads, normalized

_HEIGHT: Final = 48
_NARROWEST: Final = 48
_WIDEST: Final = 3200
_UPRIGHT: Final = 1.5
"""A box that many times as high as wide holds a line on its side."""
_DOUBTFUL: Final = 0.9
"""A line read with less mean confidence is read upside down too: only some of those that are wrong come with more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a line says, and the mean confidence of its letters, 0 to 1; nothing, 0 where it says nothing."""

    text: str
    score: float
    turned: bool
    """Whether it was upside down (or, on its side, read from bottom to top)."""


class LineReader:
    """Reads lines that were found."""

    def __init__(self, session: Any, letters: tuple[str, ...]) -> None:
        """As `open_sessions` gives them."""
        self._session = session
        self._letters = ("", *letters, " ")

    def read(self, rgb: NDArray[np.uint8], quads: Quads) -> list[Reading]:
        """What stands in each box of a picture."""
        return [self._line(cut_out(rgb, quad)) for quad in quads]

    def _line(self, line: NDArray[np.uint8]) -> Reading:
        text, score = self._decoded(line)
        if score >= _DOUBTFUL:
            return Reading(text, score, False)
        other, other_score = self._decoded(np.ascontiguousarray(line[::-1, ::-1]))
        if other_score > score:
            return Reading(other, other_score, True)
        return Reading(text, score, False)

    def _decoded(self, line: NDArray[np.uint8]) -> tuple[str, float]:
        """The likeliest class of every step; repeated ones and blanks are left out (greedy CTC decoding)."""
        steps = self._session.run(None, {"x": normalized(line)})[0][0]
        best = steps.argmax(axis=1)
        said = np.flatnonzero((best != 0) & np.append(True, best[1:] != best[:-1]))
        if not len(said):
            return "", 0.0
        text = "".join(self._letters[best[step]] for step in said)
        return text, float(steps[said, best[said]].mean())


def cut_out(rgb: NDArray[np.uint8], quad: Quads) -> NDArray[np.uint8]:
    """The content of a box as a line (48, w, 3); boxes on their side are turned anticlockwise."""
    across = max(np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[2] - quad[3]))
    down = max(np.linalg.norm(quad[3] - quad[0]), np.linalg.norm(quad[2] - quad[1]))
    width, height = max(1, round(float(across))), max(1, round(float(down)))
    if height >= _UPRIGHT * width:
        quad = np.roll(quad, -1, axis=0)  # its right edge becomes the top
        width, height = height, width
    size = (min(max(round(_HEIGHT * width / height), _NARROWEST), _WIDEST), _HEIGHT)
    direct = height <= 2 * _HEIGHT
    target = size if direct else (width, height)
    there = np.array([[0, 0], [target[0], 0], target, [0, target[1]]], np.float32)
    turn = cv2.getPerspectiveTransform(quad.astype(np.float32), there)
    line = cv2.warpPerspective(
        rgb, turn, target, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if not direct:
        line = cv2.resize(line, size, interpolation=cv2.INTER_AREA)
    return np.asarray(line, np.uint8)
