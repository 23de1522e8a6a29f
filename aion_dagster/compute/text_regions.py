"""Text in pictures: where it stands and what it says (RapidOCR on ONNX Runtime, offline)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from aion_dagster.errors import UnavailableError

_EXTRA: Final = (
    "reading text in pictures needs the extra `ocr`: pip install 'aion_dagster[ocr]' "
    "(rapidocr and onnxruntime)"
)
_READ_SIDE: Final = 2000
"""Lines are cut out of the picture at this longest side at most; a letter is 48 pixels high for the reader anyway."""

_SMALLEST_SIDE: Final = 32
"""The detector works in steps of 32 pixels; thinner pictures are padded, not enlarged."""

_MIN_SCORE: Final = 0.6
_MIN_SCORE_OF_ONE: Final = 0.8
"""Mean confidence of the letters below which a region is dropped; one letter alone needs more.

Lines that were misread came with 0.58 and less, a letter "seen" in a photo of kites with 0.64, lines read right
with 0.97 and more.
"""


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
    """Finds and reads text. One detector may serve several threads.

    Attributes:
        engine: library, version, models and settings that answered, e.g. `rapidocr-3.10.0/PP-OCRv6_det_small+…/960`.
    """

    def __init__(self, full: Any, gate: Any | None, engine: str, longest_side: int) -> None:
        """Use `load`."""
        self._full = full
        self._gate = gate
        self._longest_side = longest_side
        self.engine = engine

    @classmethod
    def load(cls, *, longest_side: int = 960, gate_side: int | None = None) -> TextDetector:
        """Load the models that the installed `rapidocr` carries; nothing is downloaded.

        Args:
            longest_side: text is looked for at this longest side in pixels (the notes of PaddleOCR call it
                `limit_side_len`); half of it costs a quarter and loses small text.
            gate_side: look first at this longest side, and only where something is found at `longest_side`. 480 saves
                three quarters of the time on pictures without text, and misses about half of the text that is less
                than a hundredth of the longest side high; so the default is None, no gate.

        Raises:
            UnavailableError: the extra `ocr` is not installed, or its models are missing.
        """
        models = _model_files()
        settings = {
            "Global.log_level": "critical",
            "Global.use_preprocess_img": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_type": "max",
            "Det.limit_side_len": longest_side,
            **{f"{role}.model_path": str(path) for role, path in models.items()},
        }
        full = _engine(settings)
        gate = None
        if gate_side is not None:
            only_find = {"Global.use_cls": False, "Global.use_rec": False}
            gate = _engine(settings | only_find | {"Det.limit_side_len": gate_side})
        names = "+".join(models[role].stem for role in ("Det", "Rec"))
        sides = str(longest_side) if gate_side is None else f"{longest_side}-gate{gate_side}"
        version = importlib.metadata.version("rapidocr")
        return cls(full, gate, f"rapidocr-{version}/{names}/{sides}", longest_side)

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
        bgr, scale = self._sized(rgb)
        if self._gate is not None and not len(self._gate(bgr)):
            return []
        found = self._full(bgr)
        if found.boxes is None or found.txts is None:
            return []
        regions = [
            _region(text.strip(), np.asarray(box, np.float64) / scale, float(score), width, height)
            for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True)
            if _is_read(text.strip(), score)
        ]
        return [r for line in _lines(r for r in regions if r.w > 0 and r.h > 0) for r in line]

    def _sized(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The picture in BGR as the models get it, and its scale.

        Small pictures are doubled where that fits in `longest_side`: letters 8 pixels high are read right in 10 of 10
        words instead of 5 (scikit-image's `page`), and pictures of that size stay cheap.
        """
        longest = max(rgb.shape[:2])
        scale = 1.0
        if longest > _READ_SIDE:
            scale = _READ_SIDE / longest
        elif longest * 2 <= self._longest_side:
            scale = 2.0
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        if scale != 1.0:
            size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
            bgr = cv2.resize(
                bgr, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            )
        below, beside = (max(0, _SMALLEST_SIDE - side) for side in bgr.shape[:2])
        if below or beside:
            bgr = cv2.copyMakeBorder(bgr, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(bgr), scale


def visible_text(regions: Sequence[TextRegion]) -> str:
    """What the regions say together: words joined by spaces, lines by line breaks."""
    return "\n".join(" ".join(region.text for region in line) for line in _lines(regions))


def _model_files() -> dict[str, Path]:
    """The ONNX files in the wheel by role; naming them keeps rapidocr from fetching any."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(_EXTRA)
    if importlib.util.find_spec("onnxruntime") is None:
        raise UnavailableError(_EXTRA)
    folder = Path(spec.submodule_search_locations[0]) / "models"
    found: dict[str, Path] = {}
    for role in ("det", "rec", "cls"):
        candidates = sorted(folder.glob(f"*_{role}_*.onnx"))
        if not candidates:
            raise UnavailableError(
                f"{folder} has no {role} model (*_{role}_*.onnx); reinstall rapidocr 3.10 or newer"
            )
        found[role.capitalize()] = candidates[-1]
    return found


def _engine(settings: dict[str, Any]) -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise UnavailableError(f"{_EXTRA}; importing it failed: {error}") from error
    engine = RapidOCR(params=settings)
    # The models load with the first picture; a blank one brings that, and its errors, forward to here.
    engine(np.full((64, 64, 3), 255, np.uint8))
    return engine


def _is_read(text: str, score: float) -> bool:
    letters = sum(c.isalnum() for c in text)
    return letters > 0 and score >= (_MIN_SCORE if letters > 1 else _MIN_SCORE_OF_ONE)


def _region(
    text: str, box: NDArray[np.float64], score: float, width: int, height: int
) -> TextRegion:
    points = np.clip(box, 0.0, (float(width), float(height)))
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return TextRegion(
        text,
        float(left),
        float(top),
        float(right - left),
        float(bottom - top),
        tuple(float(v) for v in points.ravel()),
        score,
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
