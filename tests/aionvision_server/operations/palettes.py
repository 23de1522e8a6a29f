"""Colors of a picture, made from its hash, in the shape that the vendor documents."""

from __future__ import annotations

import colorsys
import hashlib
from typing import Any, Final

FAMILIES: Final = {
    "neutral": ("Neutral", "Grays, blacks and whites", ["#808080", "#f5f5f5"]),
    "earth_tone": ("Earth tones", "Browns and ochres", ["#8b5a2b", "#c4a87c"]),
    "warm": ("Warm", "Reds, oranges and yellows", ["#e2725b", "#ffb347"]),
    "cool": ("Cool", "Blues, greens and violets", ["#4682b4", "#2e8b57"]),
    "metallic": ("Metallic", "Gold, silver and bronze", ["#d4af37", "#c0c0c0"]),
    "pastel": ("Pastel", "Light and soft colors", ["#ffd1dc", "#b5ead7"]),
    "vibrant": ("Vibrant", "Strong colors", ["#ff0055", "#00c2ff"]),
}


def analysis(sha256: str, count: int = 16) -> dict[str, Any]:
    """Dominant colors and what they come to."""
    colors = [_color(sha256, rank, count) for rank in range(1, count + 1)]
    brightness = sum(c["lab"]["l"] * c["percentage"] for c in colors) / 100
    saturation = sum(c["hsl"]["s"] * c["percentage"] for c in colors) / 100
    warmth = sum(c["percentage"] for c in colors if c["hsl"]["h"] < 70 or c["hsl"]["h"] > 320)
    return {
        "version": "1.0",
        "dominant_colors": colors,
        "analytics": {
            "temperature": {
                "value": "warm" if warmth > 55 else "cool" if warmth < 45 else "neutral",
                "score": round(warmth / 100, 3),
            },
            "brightness": {"average": round(brightness, 2), "category": _word(brightness)},
            "saturation": {"average": round(saturation, 2), "category": _word(saturation)},
        },
    }


def _word(value: float) -> str:
    return "low" if value < 33 else "high" if value > 66 else "medium"


def _color(sha256: str, rank: int, count: int) -> dict[str, Any]:
    digest = hashlib.sha256(f"{sha256} {rank}".encode()).digest()
    r, g, b = digest[0], digest[1], digest[2]
    h, light, s = colorsys.rgb_to_hls(r / 255, g / 255, b / 255)
    lab = dict(zip("lab", (round(v, 3) for v in lab_of(r, g, b)), strict=True))
    name = list(FAMILIES)[digest[3] % len(FAMILIES)]
    return {
        "rank": rank,
        "percentage": round(200 * (count + 1 - rank) / (count * (count + 1)), 4),
        "hex": f"#{r:02x}{g:02x}{b:02x}",
        "name": f"{name.replace('_', ' ')} {digest[4] % 9 + 1}",
        "family": name,
        "rgb": {"r": r, "g": g, "b": b},
        "hsl": {"h": round(h * 360, 2), "s": round(s * 100, 2), "l": round(light * 100, 2)},
        "lab": lab,
    }


def lab_of(*rgb: int) -> tuple[float, float, float]:
    """sRGB to CIE L*a*b* under D65."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)
    )
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def distance(one: str, other: str) -> float:
    """ΔE of 1976 between two hex codes."""
    first, second = (lab_of(*bytes.fromhex(code.lstrip("#"))) for code in (one, other))
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
