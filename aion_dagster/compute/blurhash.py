"""BlurHash: a picture as a short string that decodes to a blurred preview.

Algorithm and base-83 alphabet: https://github.com/woltapp/blurhash/blob/master/Algorithm.md
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from aion_dagster.compute.color_space import LINEAR_OF_SRGB8

_ALPHABET: Final = (
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
)
_DIGITS: Final = np.array([361, 19, 1], dtype=np.float32)
"""A wave's three levels, 0–18 each, are one number to base 19."""


def blurhash(pixels: npt.NDArray[np.uint8], *, x_components: int = 4, y_components: int = 3) -> str:
    """The BlurHash of sRGB pixels (h, w, 3), uint8; 64 pixels on the longer side are plenty.

    `x_components` and `y_components` are 1–9; the string has 4 + 2 · x · y characters.
    """
    height, width = pixels.shape[:2]
    linear = cv2.LUT(pixels, LINEAR_OF_SRGB8).reshape(height, -1)
    rows = (_cosines(height, y_components) @ linear).reshape(y_components, width, 3)
    factors = np.matmul(_cosines(width, x_components), rows).reshape(-1, 3)
    size = _base83((x_components - 1) + (y_components - 1) * 9, 1)
    red, green, blue = (_level(x) for x in factors[0].tolist())
    average = _base83((red << 16) + (green << 8) + blue, 4)
    if len(factors) == 1:
        return size + _base83(0, 1) + average
    waves = factors[1:] * 2
    sizes = np.abs(waves)
    quantised = min(82, max(0, math.floor(float(sizes.max()) * 166 - 0.5)))
    signed = np.copysign(np.sqrt(sizes / ((quantised + 1) / 166)), waves)
    levels = np.floor(np.maximum(np.minimum(signed * 9 + 9.5, 18), 0)) @ _DIGITS
    pairs = _pairs()
    waves_text = "".join([pairs[int(x)] for x in levels.tolist()])
    return size + _base83(quantised, 1) + average + waves_text


def _level(linear: float) -> int:
    """8-bit sRGB of linear light, clipped."""
    linear = min(1.0, max(0.0, linear))
    low = linear <= 0.0031308
    srgb = linear * 12.92 if low else 1.055 * linear ** (1 / 2.4) - 0.055
    return int(srgb * 255 + 0.5)


@lru_cache(maxsize=256)
def _cosines(length: int, components: int) -> npt.NDArray[np.float32]:
    """Rows of cos(π k x / length) / length, k < components."""
    angles = np.pi * np.outer(np.arange(components), np.arange(length)) / length
    return (np.cos(angles) / length).astype(np.float32)


@lru_cache(maxsize=1)
def _pairs() -> tuple[str, ...]:
    """Two digits of every value that a wave can have."""
    return tuple(_base83(value, 2) for value in range(19**3))


def _base83(value: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        value, digit = divmod(value, 83)
        text = _ALPHABET[digit] + text
    return text
