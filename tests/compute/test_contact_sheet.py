"""Contact sheets: all thumbnails, in order, within the bytes that are allowed."""

from __future__ import annotations

import io

import numpy as np
import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aion_dagster.compute.contact_sheet import contact_sheet
from aion_dagster.compute.decode import UndecodableError


def solid(color: tuple[int, int, int], size: tuple[int, int] = (128, 128)) -> bytes:
    return files.saved(Image.new("RGB", size, color))


def opened(sheet: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(sheet))
    assert image.format == "JPEG"
    return np.asarray(image)


def test_thumbnails_stand_in_rows_in_their_order() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    pixels = opened(contact_sheet([solid(c) for c in colors], columns=3, max_bytes=50_000))
    assert pixels.shape == (2 * 130 + 2, 3 * 130 + 2, 3)
    for i, color in enumerate(colors):
        seen = pixels[66 + i // 3 * 130, 66 + i % 3 * 130]
        assert np.abs(seen.astype(int) - color).max() < 12
    assert pixels[-60:, -60:].min() > 240


def test_a_thumbnail_keeps_its_aspect_and_is_not_enlarged() -> None:
    pixels = opened(contact_sheet([solid((0, 0, 0), (40, 20))], max_bytes=50_000))
    dark = np.argwhere(pixels[..., 1] < 100)
    height, width = dark.max(axis=0) - dark.min(axis=0) + 1
    assert abs(height - 20) <= 2
    assert abs(width - 40) <= 2


@given(st.integers(1, 30), st.integers(1, 8), st.integers(2_000, 20_000))
def test_the_sheet_fits(count: int, columns: int, most: int) -> None:
    sheet = contact_sheet(
        [files.jpeg(i % 5, 128, 96) for i in range(count)], columns=columns, max_bytes=most
    )
    assert len(sheet) <= most
    opened(sheet)


def test_hundreds_of_noisy_thumbnails_fit_too() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(contact_sheet([files.saved(noise)] * 300, max_bytes=8_000)) <= 8_000


def test_what_cannot_be_a_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one thumbnail"):
        contact_sheet([])
    with pytest.raises(ValueError, match="max_bytes = 10"):
        contact_sheet([solid((1, 2, 3))], max_bytes=10)
    with pytest.raises(UndecodableError):
        contact_sheet([b"no picture"])
