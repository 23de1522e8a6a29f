"""sRGB, linear light, CIE L*a*b* (D65), HSL, and the CIEDE2000 difference.

sRGB: IEC 61966-2-1. L*a*b*: CIE 15, white point D65 (2°), X 0.95047, Y 1, Z 1.08883.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

_TO_XYZ: Final = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE: Final = _TO_XYZ.sum(axis=1)
"""D65 as the matrix has it, so that greys have a = b = 0 exactly."""
_TO_RELATIVE_XYZ: Final = (_TO_XYZ / _WHITE[:, None]).T
_FROM_XYZ: Final = np.linalg.inv(_TO_XYZ).T
_EPSILON: Final = 216 / 24389
_KAPPA: Final = 24389 / 27


def linear_of_srgb(srgb: Array) -> Array:
    """Linear light 0–1 from sRGB 0–1."""
    low = srgb / 12.92
    return np.where(srgb <= 0.04045, low, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def srgb_of_linear(linear: Array) -> Array:
    """sRGB from linear light, 0–1 each; values outside are carried on."""
    high = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, high)


LINEAR_OF_SRGB8: Final = linear_of_srgb(np.arange(256) / 255).astype(np.float32)
"""Linear light of every 8-bit sRGB value."""


def lab_of_rgb(rgb: npt.ArrayLike) -> Array:
    """L*a*b* (…, 3) of sRGB values 0–255 (…, 3): L 0–100, a and b about −108 to 98."""
    relative = linear_of_srgb(np.asarray(rgb, dtype=np.float64) / 255) @ _TO_RELATIVE_XYZ
    f = np.where(relative > _EPSILON, np.cbrt(relative), (_KAPPA * relative + 16) / 116)
    return np.stack(
        [
            116 * f[..., 1] - 16,
            500 * (f[..., 0] - f[..., 1]),
            200 * (f[..., 1] - f[..., 2]),
        ],
        axis=-1,
    )


_F_STEPS: Final = 1 << 16
_RELATIVE: Final = np.arange(_F_STEPS + 1) / _F_STEPS
_F_OF_RELATIVE: Final = np.where(
    _RELATIVE > _EPSILON, np.cbrt(_RELATIVE), (_KAPPA * _RELATIVE + 16) / 116
).astype(np.float32)
_TO_STEPS: Final = np.column_stack([_TO_RELATIVE_XYZ.T * _F_STEPS, np.full(3, 0.5)]).astype(
    np.float32
)
"""From linear RGB to the place in the table above, rounded when its fraction is cut off."""
_TO_LAB: Final = np.array(
    [[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], dtype=np.float32
)


def lab_points(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """L, a, b and 1 (h · w, 4) of sRGB pixels (h, w, 3), from tables: within 0.1, at a tenth of the time."""
    linear = cv2.LUT(pixels, LINEAR_OF_SRGB8).reshape(1, -1, 3)
    f = _F_OF_RELATIVE[cv2.transform(linear, _TO_STEPS).astype(np.intp)]
    lab = cv2.transform(f, _TO_LAB)
    # The one is what OpenCV takes for an opaque pixel's alpha; a transform to four channels is ten times slower.
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_RGB2RGBA)[0], dtype=np.float32)


def rgb_of_lab(lab: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """8-bit sRGB (…, 3) of L*a*b* (…, 3); what sRGB does not have is clipped."""
    values = np.asarray(lab, dtype=np.float64)
    fy = (values[..., 0] + 16) / 116
    f = np.stack([fy + values[..., 1] / 500, fy, fy - values[..., 2] / 200], axis=-1)
    relative = np.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    srgb = srgb_of_linear((relative * _WHITE) @ _FROM_XYZ)
    return np.asarray(np.rint(np.clip(srgb, 0, 1) * 255), dtype=np.uint8)


def hsl_of_rgb(rgb: npt.ArrayLike) -> Array:
    """Hue 0–360 (below 360), saturation and lightness 0–100 of sRGB values 0–255, (…, 3) each."""
    values = np.asarray(rgb, dtype=np.float64) / 255
    r, g, b = values[..., 0], values[..., 1], values[..., 2]
    high, low = values.max(axis=-1), values.min(axis=-1)
    chroma = high - low
    safe = np.where(chroma == 0, 1, chroma)
    sextant = np.where(
        high == r,
        (g - b) / safe % 6,
        np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4),
    )
    lightness = (high + low) / 2
    room = 1 - np.abs(2 * lightness - 1)
    saturation = np.where(chroma == 0, 0, chroma / np.where(room <= 0, 1, room))
    hue = np.where(chroma == 0, 0, sextant * 60 % 360)
    return np.stack([hue, np.minimum(saturation, 1) * 100, lightness * 100], axis=-1)


def delta_e_2000(lab1: npt.ArrayLike, lab2: npt.ArrayLike) -> Array:
    """CIEDE2000 differences between L*a*b* colors, broadcast over everything but the last axis of 3.

    G. Sharma, W. Wu, E. Dalal, The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data,
    and Mathematical Observations, Color Research and Application 30(1), 2005; k_L = k_C = k_H = 1. Around 1 is just
    noticeable; 100 separates black from white.
    """
    first, second = np.asarray(lab1, dtype=np.float64), np.asarray(lab2, dtype=np.float64)
    l1, a1, b1 = first[..., 0], first[..., 1], first[..., 2]
    l2, a2, b2 = second[..., 0], second[..., 1], second[..., 2]
    c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(c7 / (c7 + 25.0**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = (h2 - h1 + 180) % 360 - 180
    turn = np.where(turn == -180, np.where(h2 > h1, 180.0, -180.0), turn)
    turn = np.where(grey, 0, turn)
    total = h1 + h2
    mean_h = np.where(
        grey,
        total,
        np.where(np.abs(h1 - h2) <= 180, total / 2, (total + np.where(total < 360, 360, -360)) / 2),
    )
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    m7 = mean_c**7
    rotation = (
        -2
        * np.sqrt(m7 / (m7 + 25.0**7))
        * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    x_l, x_c, x_h = d_l / s_l, d_c / s_c, d_h / s_h
    squared = x_l**2 + x_c**2 + x_h**2 + rotation * x_c * x_h
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
