"""Many thumbnails as one small JPEG, to be looked at where a batch is inspected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from aion_dagster.compute.decode import upright_rgb
from aion_dagster.compute.resize import fitted_size

_BACKGROUND: Final = 255
_GAP: Final = 2
_CELL_SIDES: Final = (128, 96, 72, 54, 40, 28, 16, 8)
_QUALITIES: Final = (80, 60, 40, 25)
_MOST_SHOWN: Final = 400


def contact_sheet(
    thumbnails: Sequence[bytes], *, columns: int = 6, max_bytes: int = 20_000
) -> bytes:
    """One JPEG with the thumbnails in rows, in their order, each whole and centered in a square cell.

    Cells from 128 pixels downwards and qualities from 80 downwards are tried until the sheet fits; thumbnails are never
    enlarged. Where even the smallest cells are too many, the first that fit are shown.

    Args:
        thumbnails: pictures as bytes, best the 256 pixel variants; the first 400 at most are shown.
        columns: cells per row, 1 or more; fewer where there are fewer thumbnails.
        max_bytes: what the result may have at most.

    Raises:
        ValueError: no thumbnails, no columns, or `max_bytes` too small for a single one.
        UndecodableError: a thumbnail is no picture.
    """
    if not thumbnails or columns < 1:
        raise ValueError("a contact sheet needs at least one thumbnail and one column")
    shown = [_thumbnail(t) for t in thumbnails[:_MOST_SHOWN]]
    while shown:
        for side in _CELL_SIDES:
            sheet = _sheet(shown, min(columns, len(shown)), side)
            least = _encoded(sheet, _QUALITIES[-1])
            if len(least) > max_bytes:
                continue  # nor does any other quality fit
            better = (_encoded(sheet, quality) for quality in _QUALITIES[:-1])
            return next((jpeg for jpeg in better if len(jpeg) <= max_bytes), least)
        shown = shown[: len(shown) // 2]
    raise ValueError(f"no sheet fits into max_bytes = {max_bytes}: allow 1000 or more")


def _encoded(sheet: npt.NDArray[np.uint8], quality: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(sheet, quality=quality, colorsubsampling="420"))


def _thumbnail(picture: bytes) -> npt.NDArray[np.uint8]:
    """Pixels of the largest cell's size or less."""
    return _small(upright_rgb(picture)[0], _CELL_SIDES[0])


def _small(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """At most `side` wide and high; averages do here, at a fraction of what keeps a variant's sharpness."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    size = fitted_size(width, height, side)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _sheet(
    pictures: Sequence[npt.NDArray[np.uint8]], columns: int, side: int
) -> npt.NDArray[np.uint8]:
    rows = -(-len(pictures) // columns)
    pitch = side + _GAP
    shape = (rows * pitch + _GAP, columns * pitch + _GAP, 3)
    sheet = np.full(shape, _BACKGROUND, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        small = _small(picture, side)
        height, width = small.shape[:2]
        top = _GAP + index // columns * pitch + (side - height) // 2
        left = _GAP + index % columns * pitch + (side - width) // 2
        sheet[top : top + height, left : left + width] = small
    return sheet
