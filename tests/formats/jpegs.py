"""Small JPEG files of every kind that cameras and programs write, and how they are seen upright."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from aion_dagster.formats.lossless_turning import is_installed

NEEDS_TURBOJPEG = pytest.mark.skipif(
    not is_installed(),
    reason="needs libturbojpeg, which is not installed: apt-get install libturbojpeg0",
)

BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""The orientation that undoes an orientation."""

BLOCKS = {"grey": (8, 8), "4:4:4": (8, 8), "4:2:2": (16, 8), "4:2:0": (16, 16), "CMYK": (8, 8)}
"""Kind of JPEG → width and height of what has to be whole at an edge."""

_MODES = {"grey": "L", "CMYK": "CMYK"}
_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def jpeg(kind: str, size: tuple[int, int], seed: int = 0, **save: Any) -> bytes:
    """A picture with noise on something smooth."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (3, 4, 4), dtype=np.uint8), "CMYK").resize(size)
    pixels = np.asarray(smooth, dtype=int) + rng.integers(-20, 20, (size[1], size[0], 4))
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "CMYK")
    if kind in _SUBSAMPLING:
        save = {"subsampling": _SUBSAMPLING[kind], **save}
    out = io.BytesIO()
    picture.convert(_MODES.get(kind, "RGB")).save(out, "JPEG", **{"quality": 90, **save})
    return out.getvalue()


def pixels_of(data: bytes) -> NDArray[Any]:
    """The pixels as stored, as signed numbers."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture, dtype=int)


def planes_of(data: bytes) -> NDArray[Any]:
    """As `pixels_of`, with colors as they are coded: luma first, not yet mixed with chroma."""
    with Image.open(io.BytesIO(data)) as picture:
        if picture.mode == "RGB":
            picture.draft("YCbCr", picture.size)
            assert picture.mode == "YCbCr"
        return np.asarray(picture, dtype=int)


def seen_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels as EXIF wants them shown (CIPA DC-008, tag 274: where the first row and column are seen)."""
    turned = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: np.swapaxes(x, 0, 1),
        6: lambda x: np.rot90(x, -1),
        7: lambda x: np.swapaxes(np.rot90(x, 2), 0, 1),
        8: np.rot90,
    }
    return np.asarray(turned[orientation](pixels))
