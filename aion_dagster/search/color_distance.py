"""CIEDE2000 of one color to very many, in single precision: the same formula without angles where none is needed."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]

TOLERANCE: Final = 0.02
"""More than the result is off from the formula in double precision, for colors that sRGB has."""

_25_POW_7: Final = 25.0**7
_C30, _S30 = math.cos(math.radians(30)), math.sin(math.radians(30))
_C6, _S6 = math.cos(math.radians(6)), math.sin(math.radians(6))
_C63, _S63 = math.cos(math.radians(63)), math.sin(math.radians(63))
_OPPOSITE: Final = 1e-5
"""1 + cos of the angle between two hues, below which their mean may turn by 180° with the last digit."""
_TINY: Final = 1e-30


def rough_delta_e(lab: tuple[Floats, Floats, Floats], wanted: tuple[float, float, float]) -> Floats:
    """Differences (n,) of n colors to `wanted`, each within `TOLERANCE` of the true one or below it.

    The formula is that of `compute.color_space.delta_e_2000`; cosines and sines of hues are quotients of a', b' and C',
    those of the mean hue the direction of their sum, multiples follow by the addition theorems. Where two hues are
    opposite to the last digit, 0 is given: the exact formula must decide.

    Args:
        lab: L*, a*, b* (n,) float32 each.
        wanted: L*, a*, b* of the other color.
    """
    (l1, a, b1), (l2, other_a, b2) = lab, wanted
    mean7 = _seventh((np.sqrt(a * a + b1 * b1) + math.hypot(other_a, b2)) * 0.5)
    stretch = 1.5 - 0.5 * np.sqrt(mean7 / (mean7 + _25_POW_7))
    a1, a2 = a * stretch, stretch * other_a
    c1, c2 = np.sqrt(a1 * a1 + b1 * b1), np.sqrt(a2 * a2 + b2 * b2)
    product, dot = c1 * c2, a1 * a2 + b1 * b2
    # ΔH' is 2 √(C1' C2') sin(Δh / 2); of the two forms below each is exact where the other cancels. Of greys it is 0,
    # and so the mean hue, which they do not have, does not count.
    acute = (a1 * b2 - b1 * a2) / np.sqrt(np.maximum(product + dot, _TINY) * 0.5)
    obtuse = np.sqrt(np.maximum(product - dot, 0) * 2)
    x, y = a1 * c2 + a2 * c1, b1 * c2 + b2 * c1
    length = np.sqrt(np.maximum(x * x + y * y, _TINY))
    cos, sin = x / length, y / length
    mean_c = (c1 + c2) * 0.5
    offset = ((l1 + l2) * 0.5 - 50) ** 2
    x_l = (l1 - l2) / (1 + 0.015 * offset / np.sqrt(20 + offset))
    x_c = (c2 - c1) / (1 + 0.045 * mean_c)
    x_h = np.where(dot > 0, acute, np.copysign(obtuse, acute))
    x_h = x_h / (1 + 0.015 * mean_c * _hue_weight(cos, sin))
    mean7 = _seventh(mean_c)
    rotation = -2 * np.sqrt(mean7 / (mean7 + _25_POW_7)) * _rotation(cos, sin)
    squared = x_l * x_l + x_c * x_c + x_h * x_h + rotation * x_c * x_h
    squared[product + dot <= _OPPOSITE * product] = 0
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)


def _seventh(x: Reals) -> Reals:
    square = x * x
    return np.asarray(square * square * square * x)


def _hue_weight(cos: Reals, sin: Reals) -> Reals:
    """T of the mean hue: 1 - 0.17 cos(h - 30°) + 0.24 cos 2h + 0.32 cos(3h + 6°) - 0.20 cos(4h - 63°)."""
    cos2, sin2 = 2 * cos * cos - 1, 2 * sin * cos
    cos3, sin3 = cos * cos2 - sin * sin2, sin * cos2 + cos * sin2
    cos4, sin4 = 2 * cos2 * cos2 - 1, 2 * sin2 * cos2
    return np.asarray(
        1
        - 0.17 * (_C30 * cos + _S30 * sin)
        + 0.24 * cos2
        + 0.32 * (_C6 * cos3 - _S6 * sin3)
        - 0.20 * (_C63 * cos4 + _S63 * sin4)
    )


def _rotation(cos: Reals, sin: Reals) -> Reals:
    """Sine of 2 Δθ, 0 but around the blue hue of 275°."""
    result = np.zeros_like(cos)
    # Beyond 100° from 275° it is below 1e-6; cos(h - 275°) > cos 100°.
    near = np.flatnonzero(0.0871557 * cos - 0.9961947 * sin > -0.1736)
    hue = np.degrees(np.arctan2(sin[near], cos[near])) % 360
    result[near] = np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return result
