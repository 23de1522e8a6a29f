"""Pictures by color: near a given one, or of a given name or family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.compute.colors import delta_e_2000, hex_to_lab
from aion_dagster.errors import AionError

_HEX: Final = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_CHANNELS: Final = ("lab_l", "lab_a", "lab_b")

_LARGEST_S_L: Final = 1.75
"""CIEDE2000 is never below |ΔL*| / S_L, and S_L never above 1 + 0.015·50² / √(20 + 50²) = 1.747.

The other terms are a quadratic form that is never negative (|R_T| < 2), so colors whose lightness alone is too far need
no exact comparison and none is missed. A radius in L*a*b* is no such bound: saturated blues with ΔE00 below 15 are up to
125 apart.
"""

_CHUNK: Final = 50_000
"""Colors compared exactly at a time: few enough for the processor's cache."""


class ColorQueryError(AionError, ValueError):
    """A color search that cannot be understood; the message says what can."""


@dataclass(frozen=True, slots=True)
class ColorHit:
    """A picture that has the color.

    `match_score` is 1 for the very color and 0 at the threshold, 1 where only a name or family was asked for;
    `matched_hex` the picture's own color and `matched_percentage` its share of the picture, 0 to 100.
    """

    image_id: str
    match_score: float
    matched_hex: str
    matched_percentage: float


def by_color(
    color_analyses: pa.Table,
    *,
    hex: str | None = None,  # noqa: A002 - the name that the Aionvision API gives it
    name: str | None = None,
    family: str | None = None,
    delta_e_threshold: float = 15.0,
    min_percentage: float = 5.0,
    limit: int = 50,
) -> list[ColorHit]:
    """Pictures that have a color, one hit per picture, nearest first, then the larger share, then by id.

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
    if hex is None and name is None and family is None:
        raise ColorQueryError("name a color: hex='#c4a87c', name='walnut' or family='earth_tone'")
    if hex is not None and not _HEX.fullmatch(hex):
        raise ColorQueryError(f"{hex!r} is not a color; '#c4a87c' and '#ca7' are")
    if not delta_e_threshold > 0 or not np.isfinite(delta_e_threshold):
        raise ColorQueryError(f"delta_e_threshold is {delta_e_threshold}, it must be above 0")
    palette = _palette(color_analyses, name=name, family=family, min_percentage=min_percentage)
    scores = np.ones(palette.num_rows)
    if hex is not None and palette.num_rows:
        scores = 1.0 - _differences(palette, _lab_of(hex), delta_e_threshold) / delta_e_threshold
    return _best_per_picture(palette, scores, limit)


def _palette(
    table: pa.Table, *, name: str | None, family: str | None, min_percentage: float
) -> pa.Table:
    """One row per picture and color that satisfies everything but the hex."""
    lists = table["dominant_colors"]
    colors = pc.list_flatten(lists).combine_chunks()
    owners = pc.take(table["image_id"], pc.list_parent_indices(lists))
    fields = ("hex", "percentage", "name", "family", *_CHANNELS)
    palette = pa.table(
        {"image_id": owners, **{field: pc.struct_field(colors, field) for field in fields}}
    )
    # Shares are stored in 32 bits, in which 5.1 is 5.0999999.
    keep = pc.greater_equal(palette["percentage"], pa.scalar(min_percentage - 1e-4, pa.float32()))
    if name is not None:
        keep = pc.and_(keep, _equals(palette["name"], name))
    if family is not None:
        keep = pc.and_(keep, _equals(palette["family"], family))
    return palette.filter(keep)


def _equals(column: pa.ChunkedArray, wanted: str) -> pa.ChunkedArray:
    return pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), wanted.strip().lower())


def _lab_of(code: str) -> NDArray[np.float64]:
    digits = code.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(c * 2 for c in digits)
    return np.asarray(hex_to_lab(f"#{digits}"), np.float64)


def _differences(
    palette: pa.Table, wanted: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    """CIEDE2000 of each row to `wanted`; infinite where it is beyond the threshold for certain."""
    lab = _lab_columns(palette)
    near = np.flatnonzero(np.abs(lab[:, 0] - wanted[0]) <= _LARGEST_S_L * threshold)
    result = np.full(len(lab), np.inf)
    for start in range(0, len(near), _CHUNK):
        rows = near[start : start + _CHUNK]
        result[rows] = delta_e_2000(lab[rows], wanted)
    return result


def _lab_columns(palette: pa.Table) -> NDArray[np.float64]:
    """L*a*b* of each row, (n, 3); from the hex where the row has none, as rows from elsewhere may."""
    columns = [palette[channel].to_numpy().astype(np.float64) for channel in _CHANNELS]
    lab = np.stack(columns, axis=1)
    missing = np.flatnonzero(np.isnan(lab).any(axis=1))
    if len(missing):
        codes = palette["hex"].take(pa.array(missing)).to_pylist()
        known = {c: _lab_of(c) for c in set(codes) if c is not None and _HEX.fullmatch(c)}
        nowhere = np.full(3, np.inf)
        lab[missing] = [known.get(c, nowhere) for c in codes]
    return lab


def _best_per_picture(palette: pa.Table, scores: NDArray[np.float64], limit: int) -> list[ColorHit]:
    rows = np.flatnonzero(scores > 0)
    found = palette.select(["image_id", "hex", "percentage"]).take(pa.array(rows))
    shares = found["percentage"].to_numpy()
    hits: dict[str, ColorHit] = {}
    ids, codes = found["image_id"].to_pylist(), found["hex"].to_pylist()
    order = sorted(range(len(rows)), key=lambda i: (-scores[rows[i]], -shares[i], ids[i]))
    for i in order:
        if len(hits) >= limit:
            break
        if ids[i] not in hits:
            hits[ids[i]] = ColorHit(ids[i], float(scores[rows[i]]), codes[i], float(shares[i]))
    return list(hits.values())
