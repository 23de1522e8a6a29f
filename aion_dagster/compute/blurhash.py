"""BlurHash: a picture as a short string that decodes to a blurred preview.

Algorithm and base-83 alphabet: https://github.com/woltapp/blurhash/blob/master/Algorithm.md
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from aion_dagster.compute.color_space import LINEAR_OF_SRGB8, srgb_of_linear

_ALPHABET: Final = (
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
)


def blurhash(pixels: npt.NDArray[np.uint8], *, x_components: int = 4, y_components: int = 3) -> str:
    """The BlurHash of sRGB pixels (h, w, 3), uint8; 64 pixels on the longer side are plenty.

    `x_components` and `y_components` are 1–9; the string has 4 + 2 · x · y characters.
    """
    height, width = pixels.shape[:2]
    linear = LINEAR_OF_SRGB8[pixels]
    rows = _cosines(height, y_components) @ linear.reshape(height, -1)
    rows = rows.reshape(y_components, width, 3)
    factors = np.matmul(_cosines(width, x_components), rows).reshape(-1, 3)
    factors[1:] *= 2.0
    size = _base83((x_components - 1) + (y_components - 1) * 9, 1)
    dc = (np.clip(srgb_of_linear(factors[0]), 0, 1) * 255 + 0.5).astype(int)
    average = _base83((int(dc[0]) << 16) + (int(dc[1]) << 8) + int(dc[2]), 4)
    if len(factors) == 1:
        return size + _base83(0, 1) + average
    waves = factors[1:]
    quantised = min(82, max(0, math.floor(float(np.abs(waves).max()) * 166 - 0.5)))
    signed = np.copysign(np.sqrt(np.abs(waves) / ((quantised + 1) / 166)), waves)
    levels = np.clip(np.floor(signed * 9 + 9.5), 0, 18).astype(int) @ (361, 19, 1)
    return size + _base83(quantised, 1) + average + "".join(_base83(x, 2) for x in levels.tolist())


@lru_cache(maxsize=256)
def _cosines(length: int, components: int) -> npt.NDArray[np.float32]:
    """Rows of cos(π k x / length) / length, k < components."""
    angles = np.pi * np.outer(np.arange(components), np.arange(length)) / length
    return (np.cos(angles) / length).astype(np.float32)


def _base83(value: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        value, digit = divmod(value, 83)
        text = _ALPHABET[digit] + text
    return text
