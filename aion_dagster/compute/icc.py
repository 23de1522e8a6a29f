"""ICC profiles: pixels of another color space turned into sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Final

from PIL import Image, ImageCms

_MODES: Final = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow mode → the color space signature that a fitting profile carries."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture (mode RGB, L or CMYK) as RGB in sRGB, relative to its embedded `profile`.

    A profile that is absent, broken, made for another color space, or sRGB itself changes nothing but the mode.
    """
    transform = _transform(profile, image.mode) if profile is not None else None
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    return transform.apply(image)


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _MODES.get(mode):
            return None
        if "srgb" in (source.profile.profile_description or "").lower():
            return None
        return ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            intent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # Shared by threads, so without the one-pixel cache.
            flags=ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return None
