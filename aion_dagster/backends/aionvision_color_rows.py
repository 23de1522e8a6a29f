"""Rows of `color_analyses` from what the Aionvision platform says of a picture's colors."""

from __future__ import annotations

import math
from typing import Any

from aion_dagster.client.models.colors import ColorAnalysis, DominantColor
from aion_dagster.compute.color_space import hsl_of_rgb
from aion_dagster.compute.colors import hex_to_lab

Row = dict[str, Any]


def color_row(image_id: str, found: ColorAnalysis, n_colors: int) -> Row | None:
    """A row of `color_analyses`: the `n_colors` largest colors; None where there is no color in the answer."""
    colors = [c for color in found.dominant_colors if (c := _color(color)) is not None]
    colors.sort(key=lambda c: (c["rank"], -c["percentage"]))
    if not colors:
        return None
    analytics = found.analytics
    temperature = analytics.temperature if analytics else None
    brightness = analytics.brightness if analytics else None
    saturation = analytics.saturation if analytics else None
    return {
        "image_id": image_id,
        "dominant_colors": [
            {**color, "rank": rank} for rank, color in enumerate(colors[:n_colors], 1)
        ],
        "temperature": (temperature.value or None) if temperature else None,
        "temperature_score": temperature.score if temperature else None,
        "brightness": brightness.average if brightness else None,
        "brightness_category": (brightness.category or None) if brightness else None,
        "saturation": saturation.average if saturation else None,
        "saturation_category": (saturation.category or None) if saturation else None,
    }


def _color(color: DominantColor) -> Row | None:
    """One color; what the platform leaves out of its coordinates follows from its code."""
    try:
        from_code = hex_to_lab(color.hex)
    except ValueError:
        return None
    code = color.hex.strip().removeprefix("#").lower()
    rgb = tuple(bytes.fromhex(code))
    hue, saturation, lightness = (float(v) for v in hsl_of_rgb([rgb])[0])
    hsl = (color.hsl.h, color.hsl.s, color.hsl.l) if color.hsl else (hue, saturation, lightness)
    lab = (color.lab.l, color.lab.a, color.lab.b) if color.lab else tuple(map(float, from_code))
    numbers = (color.percentage, *hsl, *lab)
    if not all(math.isfinite(number) for number in numbers):
        return None
    return {
        "rank": color.rank,
        "percentage": color.percentage,
        "hex": f"#{code}",
        "name": color.name or None,
        "family": None if color.family is None else str(color.family.value),
        **dict(zip("rgb", rgb, strict=True)),
        **dict(zip("hsl", hsl, strict=True)),
        **dict(zip(("lab_l", "lab_a", "lab_b"), lab, strict=True)),
    }
