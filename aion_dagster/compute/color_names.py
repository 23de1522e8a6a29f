"""Names and families of colors: the 148 CSS names and a table of materials, the nearest by CIEDE2000.

`color_names.csv` holds the materials (wood, stone, metal, cloth, plants, food): sRGB values chosen by eye as typical, not
measured standards.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from aion_dagster.compute.color_space import delta_e_2000, lab_of_rgb

FAMILIES: Final = ("neutral", "earth_tone", "warm", "cool", "metallic", "pastel", "vibrant")

_SYNONYMS: Final = ("aqua", "fuchsia")
"""CSS names that share their value with a more usual one; the spellings with "grey" are left out likewise."""
_CELL_BITS: Final = 5
_METALLIC_DISTANCE: Final = 4.0


@dataclass(frozen=True)
class _Names:
    names: tuple[str, ...]
    lab: npt.NDArray[np.float64]
    metal: npt.NDArray[np.bool_]
    exact: dict[int, int]
    nearest: npt.NDArray[np.int16]
    """Name of each cell of the coarse RGB grid, −1 where nobody has asked yet."""


@lru_cache(maxsize=1)
def _table() -> _Names:
    names: dict[str, tuple[str, bool]] = {
        name: (str(value), False)
        for name, value in ImageColor.colormap.items()
        if "grey" not in name and name not in _SYNONYMS
    }
    file = resources.files("aion_dagster.compute") / "color_names.csv"
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        names.setdefault(row["name"], (row["hex"], row["kind"] == "metal"))
    codes = [int(value.lstrip("#"), 16) for value, _ in names.values()]
    rgb = np.array([(c >> 16, c >> 8 & 255, c & 255) for c in codes])
    return _Names(
        names=tuple(names),
        lab=np.asarray(lab_of_rgb(rgb), dtype=np.float64),
        metal=np.array([metal for _, metal in names.values()]),
        exact={code: index for index, code in reversed(list(enumerate(codes)))},
        nearest=np.full(1 << 3 * _CELL_BITS, -1, dtype=np.int16),
    )


def name_indices(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Index of the name of each color (n, 3); resolved per cell of 8 levels a channel, exact values apart.

    A cell is looked up once per process and remembered: filling is idempotent, so threads need no lock.
    """
    table = _table()
    wide = rgb.astype(np.int32)
    cells = (wide[:, 0] >> 3 << 10) | (wide[:, 1] >> 3 << 5) | wide[:, 2] >> 3
    found: npt.NDArray[np.int16] = table.nearest[cells]
    if (found < 0).any():
        missing = np.unique(cells[found < 0])
        centers = np.stack([missing >> 10, missing >> 5 & 31, missing & 31], axis=1) * 8 + 3.5
        distances = delta_e_2000(lab_of_rgb(centers)[:, None], table.lab[None])
        table.nearest[missing] = distances.argmin(axis=1)
        found = table.nearest[cells]
    for i, code in enumerate((wide @ (65536, 256, 1)).tolist()):
        if code in table.exact:
            found[i] = table.exact[code]
    return found


def names_of(indices: npt.NDArray[np.int16]) -> list[str]:
    """The names at `indices`, as `name_indices` gives them."""
    names = _table().names
    return [names[i] for i in indices.tolist()]


def color_families(lab: npt.NDArray[np.floating[Any]], indices: npt.NDArray[np.int16]) -> list[str]:
    """The family of each color, from L*a*b* (n, 3) and its name's index.

    Own thresholds in L*C*h: greys first, then what lies within ΔE 4 of a metal's name, then light and weak (pastel),
    strong (vibrant), browns and ochres (earth_tone), and by hue warm or cool.
    """
    table = _table()
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    metal = table.metal[indices] & (
        ((lab - table.lab[indices]) ** 2).sum(axis=1) < _METALLIC_DISTANCE**2
    )
    light = lab[:, 0]
    conditions = [
        (chroma < 9) | (light < 10) | (light > 97),
        metal,
        (light >= 78) & (chroma < 45),
        (chroma >= 60) & (light >= 30),
        (hue >= 25) & (hue < 115) & (light < 78),
        (hue < 115) | (hue >= 330),
    ]
    choices = ("neutral", "metallic", "pastel", "vibrant", "earth_tone", "warm")
    picked = np.select(conditions, list(range(len(choices))), default=-1)
    return ["cool" if i < 0 else choices[i] for i in picked.tolist()]
