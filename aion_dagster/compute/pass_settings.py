"""What the picture pass is asked for: parts, qualities, bounds; and the name under which its results are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aion_dagster import identity
from aion_dagster.compute.decode import DEFAULT_MAX_PIXELS
from aion_dagster.errors import ConfigError

ENGINE: Final = "aion_dagster.picture_pass/6"
"""Changes whenever the same bytes would give other results, so that stored ones are not taken for new ones."""

PARTS: Final = frozenset({"images", "variants", "color_analyses", "visual_features"})


@dataclass(frozen=True)
class PassSettings:
    """What the pass computes and how much it may hold.

    Args:
        parts: the tables wanted, of `PARTS`; images is always made.
        n_colors: dominant colors per picture at most, 3–16.
        jpeg_quality: quality 1–100 of the variants above 64 pixels.
        max_pixels: pictures whose header states more are `too_large`.
        max_bytes: files with more bytes are `too_large`, unread where their size is known.
        in_flight: pictures held at once, at least 1.
        threads: pictures computed side by side; None for one per core.

    Raises:
        ConfigError: a value outside its range.
    """

    parts: frozenset[str] = PARTS
    n_colors: int = 16
    jpeg_quality: int = 90
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_bytes: int = 256 * 2**20
    in_flight: int = 64
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        unknown = sorted(self.parts - PARTS)
        if unknown:
            raise ConfigError(f"parts: {unknown} are not among {sorted(PARTS)}")
        for name, low, high in (
            ("n_colors", 3, 16),
            ("jpeg_quality", 1, 100),
            ("max_pixels", 1, None),
            ("max_bytes", 1, None),
            ("in_flight", 1, None),
            ("threads", 1, None),
        ):
            value = getattr(self, name)
            if value is not None and (value < low or (high is not None and value > high)):
                upper = f" to {high}" if high is not None else " or more"
                raise ConfigError(f"{name} = {value}: give {low}{upper}")

    def operation(self) -> str:
        """The name under which results are stored."""
        return "picture_pass"

    def parameters(self) -> str:
        """Digest of the engine and of every setting that results depend on (not in_flight, not threads)."""
        return identity.digest(
            {
                "engine": ENGINE,
                "parts": sorted(self.parts | {"images"}),
                "n_colors": self.n_colors,
                "jpeg_quality": self.jpeg_quality,
                "max_pixels": self.max_pixels,
                "max_bytes": self.max_bytes,
            }
        )
