"""What the pass makes cheaply is held against what it stands for: Lanczos, reference hashes, k-means, exact Lab."""

from __future__ import annotations

import io
import math
import os

import cv2
import numpy as np
import pytest
from photographs import Pixels, photographs
from PIL import Image
from scipy.fft import dct
from skimage.color import rgb2lab
from sklearn.cluster import KMeans

from aion_dagster.compute.blurhash import blurhash
from aion_dagster.compute.colors import (
    ANALYSIS_SIDE,
    analysis_pixels,
    analyze_colors,
    delta_e_2000,
    named_colors,
)
from aion_dagster.compute.decode import decode_picture
from aion_dagster.compute.measure import measure
from aion_dagster.compute.pass_settings import PARTS
from aion_dagster.compute.resize import fitted_size, shrink
from aion_dagster.compute.variants import pyramid
from aion_dagster.schemas import VARIANTS


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


SIZES = (
    (None, 1400, 2000, 2400, 2600, 4000)
    if os.environ.get("AION_TEST_TIER") == "soak"
    else (None, 2000)
)


@pytest.mark.parametrize("longest", SIZES)
def test_every_variant_is_within_36_db_of_a_full_decode_and_lanczos(longest: int | None) -> None:
    for name, pixels in photographs().items():
        image = Image.fromarray(pixels)
        if longest is not None:
            factor = longest / max(image.size)
            image = image.resize(tuple(round(side * factor) for side in image.size))
        data = jpeg(image)
        full = Image.open(io.BytesIO(data)).convert("RGB")
        decoded = decode_picture(data, longest_side=max(VARIANTS.values()))
        for side, small in pyramid(
            decoded.pixels, full.size, VARIANTS.values(), soft=decoded.soft, overwrite=True
        ):
            size = fitted_size(*full.size, side)
            lanczos = np.asarray(full.resize(size, Image.Resampling.LANCZOS))
            assert small.shape == lanczos.shape
            assert cv2.PSNR(small, lanczos) >= 36, f"{name} at {side}"


@pytest.mark.parametrize("name", photographs())
def test_a_hash_is_within_two_bits_of_the_usual_one_of_the_full_picture(name: str) -> None:
    data = jpeg(Image.fromarray(photographs()[name]))
    options = {"n_colors": 3, "jpeg_quality": 90, "max_pixels": 10**8}
    found = measure(data, parts=frozenset({"images"}), **options).facts.phash
    assert (int(found, 16) ^ usual_phash(Image.open(io.BytesIO(data)))).bit_count() <= 2


def usual_phash(image: Image.Image) -> int:
    """As the package imagehash computes it: Lanczos to 32 × 32 grey levels, DCT-II, 8 × 8 against their median."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    low = dct(dct(grey, axis=0), axis=1)[:8, :8]
    bits = "".join("1" if bit else "0" for bit in (low > np.median(low)).ravel())
    return int(bits, 2)


@pytest.mark.parametrize("name", photographs())
def test_a_blurhash_is_the_very_string_of_the_algorithm_as_published(name: str) -> None:
    small = shrink(photographs()[name], 64)
    assert blurhash(small) == published_blurhash(small)


def published_blurhash(pixels: Pixels, across: int = 4, down: int = 3) -> str:
    """https://github.com/woltapp/blurhash/blob/master/Algorithm.md, word by word and pixel by pixel."""
    scaled = pixels.astype(np.float64) / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    height, width = pixels.shape[:2]
    x, y = np.arange(width), np.arange(height)
    factors = []
    for j in range(down):
        for i in range(across):
            wave = np.outer(np.cos(np.pi * j * y / height), np.cos(np.pi * i * x / width))
            scale = (1 if i == j == 0 else 2) / (width * height)
            factors.append((linear * wave[..., None]).sum(axis=(0, 1)) * scale)
    largest = max(float(np.abs(f).max()) for f in factors[1:])
    level = max(0, min(82, math.floor(largest * 166 - 0.5)))
    text = base83((across - 1) + (down - 1) * 9, 1) + base83(level, 1)
    red, green, blue = (srgb(v) for v in factors[0])
    text += base83((red << 16) + (green << 8) + blue, 4)
    for factor in factors[1:]:
        quantised = [
            max(
                0,
                min(
                    18,
                    math.floor(math.copysign(math.sqrt(abs(v / ((level + 1) / 166))), v) * 9 + 9.5),
                ),
            )
            for v in factor
        ]
        text += base83((quantised[0] * 19 + quantised[1]) * 19 + quantised[2], 2)
    return text


def srgb(linear: float) -> int:
    value = max(0.0, min(1.0, float(linear)))
    curved = value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return int(curved * 255 + 0.5)


def base83(value: int, length: int) -> str:
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
    digits = [value // 83 ** (length - place - 1) % 83 for place in range(length)]
    return "".join(alphabet[digit] for digit in digits)


@pytest.mark.parametrize(("n_colors", "allowed"), [(8, 1.03), (16, 1.05)])
def test_colors_are_as_near_to_the_pixels_as_those_of_k_means(
    n_colors: int, allowed: float
) -> None:
    ours, theirs = [], []
    random = np.random.default_rng(0)
    for pixels in photographs().values():
        if np.ptp(pixels, axis=2).max() == 0:
            continue  # shades of grey are no test of colors
        flat = pixels.reshape(-1, 3)
        sample = rgb2lab(flat[random.integers(0, len(flat), 2000)][None] / 255)[0]
        variant = shrink(pixels, VARIANTS["small_256"])
        size = fitted_size(pixels.shape[1], pixels.shape[0], ANALYSIS_SIDE)
        averages = cv2.resize(variant, size, interpolation=cv2.INTER_AREA)
        lab = rgb2lab(averages / 255).reshape(-1, 3)
        means = KMeans(n_colors, n_init=4, random_state=0).fit(lab).cluster_centers_
        ours.append(
            nearest(sample, analyze_colors(analysis_pixels(variant), n_colors=n_colors).lab)
        )
        theirs.append(nearest(sample, means))
    assert len(ours) >= 10
    assert np.mean(ours) <= allowed * np.mean(theirs)


def nearest(sample: np.ndarray, palette: np.ndarray) -> float:
    """Mean CIEDE2000 from each color of the sample to the nearest of the palette."""
    return float(delta_e_2000(sample[:, None], palette[None]).min(axis=1).mean())


def test_reported_lab_is_the_exact_conversion_of_the_reported_rgb() -> None:
    for pixels in photographs().values():
        analysis = analyze_colors(shrink(pixels, ANALYSIS_SIDE))
        told = named_colors([analysis])
        exact = rgb2lab(told.rgb[None].astype(np.float64) / 255)[0]
        assert np.abs(told.lab - exact).max() < 0.01


def test_a_picture_s_colors_are_measured_in_the_pass_as_on_their_own() -> None:
    data = jpeg(Image.fromarray(photographs()["coffee"]))
    options = {"n_colors": 16, "jpeg_quality": 90, "max_pixels": 10**8}
    found = measure(data, parts=PARTS, **options).colors
    assert found is not None
    assert len(found.lab) >= 8
    assert found.percentages.sum() == pytest.approx(100, abs=1e-3)
