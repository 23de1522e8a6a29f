"""Which color is asked for, and the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.compute.colors import hex_to_lab
from aion_dagster.errors import AionError

_HEX: Final = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


class ColorQueryError(AionError, ValueError):
    """A color search that cannot be understood; the message says what can."""


@dataclass(frozen=True, slots=True)
class ColorHit:
    """A picture that has the color.

    `match_score` is 1 for the very color and 0 at the threshold, 1 where only a name or family was asked for;
    `matched_hex` and `matched_name` are the picture's own color and `matched_percentage` its share of the picture, 0 to
    100; `delta_e` the CIEDE2000 difference, None where no hex was asked for.
    """

    image_id: str
    match_score: float
    matched_hex: str
    matched_percentage: float
    matched_name: str | None = None
    delta_e: float | None = None


@dataclass(frozen=True, slots=True)
class ColorQuery:
    """Which color: what is given must hold for one and the same color of a picture.

    `hex` is `#rgb` or `#rrggbb`; colors nearer than `delta_e_threshold` (CIEDE2000; about 2 is the same to the eye, 15 a
    relative) match. `name` and `family` are compared without regard to case. `min_percentage` is the share of the
    picture that the color must have, 0 to 100.

    Raises:
        ColorQueryError: nothing was asked for, or the hex or the threshold is none.
    """

    hex: str | None = None
    name: str | None = None
    family: str | None = None
    delta_e_threshold: float = 15.0
    min_percentage: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what cannot be understood."""
        if self.hex is None and self.name is None and self.family is None:
            raise ColorQueryError(
                "name a color: hex='#c4a87c', name='walnut' or family='earth_tone'"
            )
        if self.hex is not None and not _HEX.fullmatch(self.hex):
            raise ColorQueryError(f"{self.hex!r} is not a color; '#c4a87c' and '#ca7' are")
        if not self.delta_e_threshold > 0 or not np.isfinite(self.delta_e_threshold):
            raise ColorQueryError(
                f"delta_e_threshold is {self.delta_e_threshold}, it must be above 0"
            )


def lab_of_hex(code: str) -> NDArray[np.float64]:
    """L*a*b* (3,), D65, of `#rgb` or `#rrggbb`; the `#` may be missing."""
    digits = code.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(c * 2 for c in digits)
    return np.asarray(hex_to_lab(f"#{digits}"), np.float64)


def is_hex(text: str) -> bool:
    """Whether a text is a color code, with or without `#`."""
    return _HEX.fullmatch(text) is not None
