"""Names and families of colors: the 148 CSS names and a table of materials, the nearest by CIEDE2000.

`color_names.csv` holds the materials (wood, stone, metal, cloth, plants, food): sRGB values chosen by eye as typical, not
measured standards.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from aion_dagster.compute.color_space import delta_e_2000, lab_of_rgb
from aion_dagster.identity import digest

FAMILIES: Final = ("neutral", "earth_tone", "warm", "cool", "metallic", "pastel", "vibrant")

_SYNONYMS: Final = ("aqua", "fuchsia")
"""CSS names that share their value with a more usual one; the spellings with "grey" are left out likewise."""
_CELL_BITS: Final = 6
_CELLS: Final = "color_cells.npz"
_CANDIDATES: Final = 24
"""Names nearest by plain L*a*b* distance, among which CIEDE2000 decides."""
_METALLIC_DISTANCE: Final = 4.0


@dataclass(frozen=True)
class _Names:
    key: str
    """Digest of names and values."""
    names: tuple[str, ...]
    lab: npt.NDArray[np.float64]
    metal: npt.NDArray[np.bool_]
    exact: dict[int, int]
    nearest: npt.NDArray[np.int16]
    """Name of each cell of the coarse RGB grid, −1 where nobody has asked yet."""


@lru_cache(maxsize=1)
def _table() -> _Names:
    # By getrgb, because Pillow replaces the values in colormap by what it has once parsed.
    names: dict[str, tuple[tuple[int, ...], bool]] = {
        name: (ImageColor.getrgb(name)[:3], False)
        for name in ImageColor.colormap
        if "grey" not in name and name not in _SYNONYMS
    }
    file = resources.files("aion_dagster.compute") / "color_names.csv"
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        value = tuple(bytes.fromhex(row["hex"].removeprefix("#")))
        names.setdefault(row["name"], (value, row["kind"] == "metal"))
    rgb = np.array([value for value, _ in names.values()])
    codes = (rgb @ (65536, 256, 1)).tolist()
    key = digest([list(names), rgb.tolist()])
    return _Names(
        key=key,
        names=tuple(names),
        lab=np.asarray(lab_of_rgb(rgb), dtype=np.float64),
        metal=np.array([metal for _, metal in names.values()]),
        exact={code: index for index, code in reversed(list(enumerate(codes)))},
        nearest=_known_cells(key),
    )


def _known_cells(names: str) -> npt.NDArray[np.int16]:
    """The nearest name of every cell, as `write_cells` left it; all unknown where names or values changed since."""
    file = resources.files("aion_dagster.compute") / _CELLS
    if file.is_file():
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            if str(stored["names"]) == names:
                return np.array(stored["nearest"], dtype=np.int16)
    return np.full(1 << 3 * _CELL_BITS, -1, dtype=np.int16)


def write_cells(target: Path) -> None:
    """Compute the nearest name of every cell, about ten seconds, and write them compressed."""
    table = _table()
    every = np.arange(1 << 3 * _CELL_BITS, dtype=np.int32)
    parts = [nearest_names(part) for part in np.array_split(every, 64)]
    cells = np.concatenate(parts).astype(np.int16)
    np.savez_compressed(target, nearest=cells, names=np.array(table.key))


def name_indices(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Index of the name of each color (n, 3); resolved per cell of 4 levels a channel, exact values apart.

    A cell is looked up once per process and remembered: filling is idempotent, so threads need no lock.
    """
    table = _table()
    wide = rgb.astype(np.int32)
    high = wide >> 8 - _CELL_BITS
    cells = (high[:, 0] << 2 * _CELL_BITS) | (high[:, 1] << _CELL_BITS) | high[:, 2]
    found: npt.NDArray[np.int16] = table.nearest[cells]
    if (found < 0).any():
        missing = np.unique(cells[found < 0])
        table.nearest[missing] = nearest_names(missing)
        found = table.nearest[cells]
    for i, code in enumerate((wide @ (65536, 256, 1)).tolist()):
        if code in table.exact:
            found[i] = table.exact[code]
    return found


def nearest_names(cells: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """Index of the name nearest to the middle of each cell (n,), computed."""
    table = _table()
    mask, step = (1 << _CELL_BITS) - 1, 1 << 8 - _CELL_BITS
    levels = np.stack([cells >> 2 * _CELL_BITS, cells >> _CELL_BITS & mask, cells & mask], axis=1)
    lab = lab_of_rgb(levels * step + (step - 1) / 2)
    plain = (table.lab**2).sum(axis=1) - 2 * lab @ table.lab.T
    candidates = np.argpartition(plain, _CANDIDATES, axis=1)[:, :_CANDIDATES]
    best = delta_e_2000(lab[:, None], table.lab[candidates]).argmin(axis=1)
    return np.take_along_axis(candidates, best[:, None], axis=1)[:, 0]


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


def plain_color(lab: Sequence[float]) -> str:
    """The everyday word for one color (L*, a*, b*): black, white, gray, or one of eleven others.

    Own thresholds in L*C*h. Unlike the names above it never sounds like a thing that might be in the picture.
    """
    light, chroma = lab[0], math.hypot(lab[1], lab[2])
    hue = math.degrees(math.atan2(lab[2], lab[1])) % 360
    if chroma < 9 or light < 8:
        return "black" if light < 22 else "white" if light > 92 else "gray"
    if 55 <= hue < 112 and light >= 75 and chroma < 35:
        return "beige"
    if hue < 20 or hue >= 345:
        return "pink" if light >= 55 or hue >= 345 else "red"
    if hue < 55:
        if light >= 65:
            return "pink"
        if chroma < 45 or (hue >= 47 and light < 55):
            return "brown"
        return "red" if hue < 47 else "orange"
    if hue < 85:
        return "orange" if light >= 55 and chroma >= 45 else "brown"
    if hue < 112:
        return "yellow" if light >= 65 else "brown" if hue < 98 else "green"
    edges = ((185, "green"), (225, "turquoise"), (308, "blue"))
    return next((word for edge, word in edges if hue < edge), "purple")
