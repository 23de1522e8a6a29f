"""Pictures by color in one call, from a table of color analyses."""

from __future__ import annotations

import pyarrow as pa

from aion_dagster.search.color_query import ColorHit, ColorQuery, ColorQueryError
from aion_dagster.search.palettes import PaletteIndex

__all__ = ["ColorHit", "ColorQuery", "ColorQueryError", "by_color"]


def by_color(
    color_analyses: pa.Table,
    *,
    hex: str | None = None,
    name: str | None = None,
    family: str | None = None,
    delta_e_threshold: float = 15.0,
    min_percentage: float = 5.0,
    limit: int = 50,
) -> list[ColorHit]:
    """Pictures that have a color, one hit per picture, nearest first, then the larger share, then by id.

    For many questions make a `PaletteIndex` once.

    Args:
        color_analyses: schema `COLOR_ANALYSES`.
        hex: `#rgb` or `#rrggbb`; colors nearer than `delta_e_threshold` match, score 1 - ΔE / threshold.
        name: a color's name, without regard to case. With `hex`, both must hold, as with `family`.
        family: neutral, earth_tone, warm, cool, metallic, pastel or vibrant.
        delta_e_threshold: CIEDE2000 difference, above 0. About 2 is the same color to the eye, 15 a relative.
        min_percentage: share of the picture that the color must have, 0 to 100.
        limit: how many hits at most.

    Raises:
        ColorQueryError: nothing was asked for, or the hex or the threshold is none.
    """
    query = ColorQuery(hex, name, family, delta_e_threshold, min_percentage)
    return PaletteIndex.from_table(color_analyses).search(query, limit)
