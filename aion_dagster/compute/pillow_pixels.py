"""RGB pixels of whatever Pillow opens: palettes, alpha on white, 16 bits, CMYK, profiles; first frame only."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from aion_dagster.compute.icc import to_srgb
from aion_dagster.compute.sniff import UndecodableError

_RAW_DNG_VERSION: Final = 50706
_NEW_SUBFILE_TYPE: Final = 254
_SIXTEEN_BITS: Final = ("I;16", "I;16L", "I;16B", "I;16N")


def rgb_pixels(image: Image.Image, *, format: str) -> npt.NDArray[np.uint8]:
    """Array (h, w, 3), uint8, sRGB, of the loaded frame, not turned.

    Raises:
        UndecodableError: `unsupported` for samples that have no defined way to 8 bits (float, 32-bit integers).
    """
    profile = image.info.get("icc_profile")
    if image.mode in _SIXTEEN_BITS:
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.mode in ("I", "F"):
        samples = {"I": "32-bit integer", "F": "floating-point"}[image.mode]
        reason = (
            f"{samples} samples have no defined range to show; convert the file to 8 or 16 bits"
        )
        raise UndecodableError("unsupported", reason, format=format)
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    return np.asarray(to_srgb(image, profile), dtype=np.uint8)


def refuse_camera_raw(image: Image.Image) -> None:
    """Raw files are TIFF by their first bytes, and what Pillow would show of them is a small preview.

    Raises:
        UndecodableError: `unsupported`, when the first directory is a DNG's or says that it is a reduced preview.
    """
    tags = getattr(image, "tag_v2", {})
    if _RAW_DNG_VERSION in tags or tags.get(_NEW_SUBFILE_TYPE) == 1:
        raise UndecodableError(
            "unsupported", "a camera raw file; export it as JPEG or TIFF", format="tiff"
        )


def _eight_bits(samples: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """0 … 65535 to 0 … 255, rounded (65535 = 255 · 257)."""
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas
