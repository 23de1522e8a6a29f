"""Text in pictures: where it stands and what it says, by the models of RapidOCR on ONNX Runtime, offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.text_finding import Found, Looking, Quads, find_lines
from aion_dagster.compute.text_reading import LineReader, Reading
from aion_dagster.compute.text_sessions import TextSessions, open_sessions

READ_SIDE: Final = 4096
"""Lines are cut out of the picture at this longest side at most; larger ones are reduced."""

_SMALLEST_SIDE: Final = 32
"""The detector works in steps of 32 pixels; thinner pictures are padded, not enlarged."""

_MIN_SCORE: Final = 0.6
_MIN_SCORE_OF_ONE: Final = 0.8
"""Mean confidence of the letters below which a region is dropped; one letter alone needs more.

Lines that were misread came with 0.58 and less, a letter "seen" in a photo of kites with 0.64, lines read right
with 0.97 and more.
"""

_FAR: Final = 0.75
_NEARER: Final = 2.0
_SECOND_LOOKS: Final = 6
"""Boxes that cannot be read, of pictures looked at at less than this scale, are looked at again by themselves if that is
at this multiple of it at least; so many of them at most."""


@dataclass(frozen=True, slots=True)
class TextRegion:
    """One piece of a line of text.

    `x`, `y`, `w`, `h` and `polygon` (x1, y1, … x4, y4; clockwise from the text's own top left) are pixels of the
    picture given, clipped to it; `score` is the mean confidence of its letters, 0 to 1.
    """

    text: str
    x: float
    y: float
    w: float
    h: float
    polygon: tuple[float, ...]
    score: float


class TextDetector:
    """Finds and reads text. One detector may serve several threads; each picture is the work of the thread that asks.

    Lines are read one by one, each at its own width. Batches of similar widths were measured and cost as much or more
    (146 lines on one thread: 2.5 s one by one, 2.3 to 3.5 s in batches of 4 to 16), as padding and larger
    intermediate results take what fewer calls save.

    Attributes:
        engine: library, version, models and settings that answered, e.g. `rapidocr-3.10.0/PP-OCRv6_det_small+…/640-1280-1920`.
    """

    def __init__(self, sessions: TextSessions, looking: Looking) -> None:
        """Use `load`."""
        self._find = sessions.find
        self._reader = LineReader(sessions.read, sessions.letters)
        self._looking = looking
        self.engine = f"{sessions.names}/{looking}"

    @classmethod
    def load(cls, looking: Looking | None = None) -> TextDetector:
        """Load the models that the installed `rapidocr` carries; nothing is downloaded.

        Raises:
            UnavailableError: the extra `ocr` is not installed, or its models are missing.
        """
        return cls(open_sessions(), looking or Looking())

    def detect(self, rgb: NDArray[np.uint8]) -> list[TextRegion]:
        """Text of a picture in reading order: lines from top to bottom, left to right within a line.

        Args:
            rgb: (height, width, 3) uint8, upright.

        Returns:
            The regions; none where there is no text, or none that can be read.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(
                f"the picture must be (height, width, 3) uint8, not {rgb.shape} {rgb.dtype}"
            )
        height, width = rgb.shape[:2]
        if not height or not width:
            return []
        picture, scale = _sized(rgb)
        found = find_lines(self._find, picture, self._looking)
        regions = [
            _region(reading, quad / scale, width, height)
            for quad, reading in self._readings(picture, found)
            if _is_read(reading)
        ]
        return [r for line in _lines(r for r in regions if r.w > 0 and r.h > 0) for r in line]

    def _readings(
        self, picture: NDArray[np.uint8], found: Found
    ) -> Iterator[tuple[Quads, Reading]]:
        """Boxes and what they say; several small lines seen as one, which say nothing together, one by one."""
        again = _SECOND_LOOKS if found.scale < _FAR else 0
        for quad, reading in zip(found.quads, self._reader.read(picture, found.quads), strict=True):
            part, corner = _surroundings(picture, quad)
            nearer = self._looking.scales(max(part.shape))[0] >= _NEARER * found.scale
            if again and nearer and not _is_read(reading):
                again -= 1
                closer = find_lines(self._find, part, self._looking).quads
                readings = self._reader.read(part, closer)
                yield from zip(closer + corner, readings, strict=True)
            else:
                yield quad, reading


def visible_text(regions: Sequence[TextRegion]) -> str:
    """What the regions say together: words joined by spaces, lines by line breaks."""
    return "\n".join(" ".join(region.text for region in line) for line in _lines(regions))


def _sized(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The picture as it is looked at, and its scale."""
    scale = min(1.0, READ_SIDE / max(rgb.shape[:2]))
    if scale < 1:
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    below, beside = (max(0, _SMALLEST_SIDE - side) for side in rgb.shape[:2])
    if below or beside:
        bordered = cv2.copyMakeBorder(rgb, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        rgb = np.asarray(bordered, np.uint8)
    return rgb, scale


def _surroundings(
    picture: NDArray[np.uint8], quad: Quads
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of a picture around a box, with half of its size at each side, and the part's top left corner."""
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    across, down = (right - left) / 2, (bottom - top) / 2
    x, y = max(0, int(left - across)), max(0, int(top - down))
    part = picture[y : max(y + 1, int(bottom + down)), x : max(x + 1, int(right + across))]
    return part, np.array([x, y], np.float64)


def _is_read(reading: Reading) -> bool:
    letters = sum(c.isalnum() for c in reading.text)
    return letters > 0 and reading.score >= (_MIN_SCORE if letters > 1 else _MIN_SCORE_OF_ONE)


def _region(reading: Reading, quad: Quads, width: int, height: int) -> TextRegion:
    points = np.clip(quad, 0.0, (float(width), float(height)))
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return TextRegion(
        reading.text.strip(),
        float(left),
        float(top),
        float(right - left),
        float(bottom - top),
        tuple(float(v) for v in points.ravel()),
        reading.score,
    )


def _lines(regions: Iterable[TextRegion]) -> list[list[TextRegion]]:
    """Regions grouped by line: one joins a line when its middle is within half a height of the line's first region."""
    lines: list[list[TextRegion]] = []
    for region in sorted(regions, key=lambda r: (r.y + r.h / 2, r.x)):
        middle = region.y + region.h / 2
        for line in lines:
            first = line[0]
            if abs(middle - (first.y + first.h / 2)) <= 0.5 * min(region.h, first.h):
                line.append(region)
                break
        else:
            lines.append([region])
    return [sorted(line, key=lambda r: (r.x, r.y)) for line in lines]
