"""What colors a picture has: the dominant ones with names and families, temperature, brightness, saturation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.color_names import color_families, name_indices, names_of
from aion_dagster.compute.color_space import (
    delta_e_2000,
    hsl_of_rgb,
    lab_of_rgb,
    rgb_of_lab,
)
from aion_dagster.compute.palette import dominant
from aion_dagster.compute.resize import halved

__all__ = [
    "ANALYSIS_SIDE",
    "ColorAnalysis",
    "NamedColors",
    "analysis_pixels",
    "analyze_all",
    "analyze_colors",
    "delta_e_2000",
    "hex_to_lab",
    "named_colors",
]

ANALYSIS_SIDE: Final = 96
"""Longest side, in pixels, at most, of the picture whose colors are counted: a picture is halved until it is below."""

_WARM: Final = (math.cos(math.radians(55.0)), math.sin(math.radians(55.0)))
"""Direction of the warmest hue in a* and b*."""
_FULLY_WARM: Final = 40.0
_NEUTRAL_BAND: Final = 0.15
_DARKEST_TOLD: Final = 20
"""The largest of red, green and blue below which nobody sees a saturation."""
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True, slots=True)
class ColorAnalysis:
    """Dominant colors, largest share first, and three summaries.

    `lab` (k, 3), D65; `percentages` (k,) sum to 100. `temperature_score` −1 (cool) to 1 (warm); `brightness` mean L*
    0–100; `saturation` mean HSV saturation 0–100 (colors too dark to have one count as 0).
    """

    lab: npt.NDArray[np.float64]
    percentages: npt.NDArray[np.float32]
    temperature_score: float
    brightness: float
    saturation: float

    @property
    def temperature(self) -> str:
        """`warm`, `cool`, or `neutral` where the score is within 0.15 of zero."""
        if abs(self.temperature_score) < _NEUTRAL_BAND:
            return "neutral"
        return "warm" if self.temperature_score > 0 else "cool"

    @property
    def brightness_category(self) -> str:
        """`dark` below 35, `bright` from 65, else `medium`."""
        return "dark" if self.brightness < 35 else "medium" if self.brightness < 65 else "bright"

    @property
    def saturation_category(self) -> str:
        """`muted` below 25, `vivid` from 55, else `moderate`."""
        return "muted" if self.saturation < 25 else "moderate" if self.saturation < 55 else "vivid"


@dataclass(frozen=True, slots=True)
class NamedColors:
    """Everything that is said of n colors: `rgb` (n, 3) 0–255; `hsl` (n, 3) 0–360, 0–100, 0–100; `lab` (n, 3) of `rgb`."""

    rgb: npt.NDArray[np.uint8]
    hsl: npt.NDArray[np.float32]
    lab: npt.NDArray[np.float32]
    hexes: list[str]
    names: list[str]
    families: list[str]


def analyze_colors(pixels: npt.NDArray[np.uint8], *, n_colors: int = 16) -> ColorAnalysis:
    """The colors of sRGB pixels (h, w, 3), uint8, of `ANALYSIS_SIDE` or about: the time is in proportion to them.

    `n_colors`, 3–16, is how many dominant colors there are at most: a picture of one color has one.
    """
    return analyze_all([pixels], n_colors=n_colors)[0]


def analyze_all(
    pictures: Sequence[npt.NDArray[np.uint8]], *, n_colors: int = 16
) -> list[ColorAnalysis]:
    """As `analyze_colors` for each of some pictures, in less time."""
    saturations = [_saturation(pixels) for pixels in pictures]
    return [
        _analysis(*colors, saturation)
        for colors, saturation in zip(dominant(pictures, n_colors), saturations, strict=True)
    ]


def _analysis(
    lab: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], saturation: float
) -> ColorAnalysis:
    light, a, b = (shares @ lab).tolist()
    warmth = (a * _WARM[0] + b * _WARM[1]) / _FULLY_WARM
    return ColorAnalysis(
        lab=lab,
        percentages=(shares * 100).astype(np.float32),
        temperature_score=max(-1.0, min(1.0, warmth)),
        brightness=max(0.0, min(100.0, light)),
        saturation=saturation,
    )


def _saturation(pixels: npt.NDArray[np.uint8]) -> float:
    """Mean saturation 0–100."""
    _, saturation, value = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
    told = cv2.copyTo(saturation, (value >= _DARKEST_TOLD).view(np.uint8))
    return cv2.sumElems(told)[0] / saturation.size / 2.55


def analysis_pixels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pixels (h, w, 3) halved until both sides are at most `ANALYSIS_SIDE`.

    Averages are what colors are counted from: nothing of their sharpness is missed, and no filter rings.
    """
    while max(pixels.shape[:2]) > ANALYSIS_SIDE:
        pixels = halved(pixels)
    return pixels


def named_colors(analyses: Sequence[ColorAnalysis]) -> NamedColors:
    """The colors of all `analyses`, one after the other: many at once cost hardly more than one."""
    rgb = rgb_of_lab(np.concatenate([a.lab for a in analyses] or [np.empty((0, 3))]))
    lab = lab_of_rgb(rgb)
    indices = name_indices(rgb)
    digits = rgb.tobytes().hex()
    return NamedColors(
        rgb=rgb,
        hsl=hsl_of_rgb(rgb).astype(np.float32),
        lab=lab.astype(np.float32),
        hexes=[f"#{digits[i : i + 6]}" for i in range(0, len(digits), 6)],
        names=names_of(indices),
        families=color_families(lab, indices),
    )


def hex_to_lab(value: str) -> npt.NDArray[np.float64]:
    """L*a*b* (3,), D65, of `#rrggbb` (the `#` may be missing).

    Raises:
        ValueError: not six hexadecimal digits.
    """
    found = _HEX.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"{value!r} is no color: give six hexadecimal digits, such as '#c4a87c'")
    return np.asarray(lab_of_rgb(tuple(bytes.fromhex(found.group(1)))), dtype=np.float64)
