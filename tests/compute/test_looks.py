"""Sizes, variants, hashes and features: close to the reference, small, stable."""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np
import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aion_dagster.compute.blurhash import blurhash
from aion_dagster.compute.color_space import LINEAR_OF_SRGB8
from aion_dagster.compute.decode import decode_picture, upright_rgb
from aion_dagster.compute.features import VisualFeatures, visual_features
from aion_dagster.compute.measure import measure
from aion_dagster.compute.phash import gray_dct, phash
from aion_dagster.compute.resize import fitted_size, shrink
from aion_dagster.compute.variants import pyramid
from aion_dagster.schemas import VARIANTS

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"


def made(data: bytes, quality: int = 90) -> dict[str, bytes]:
    options = {"n_colors": 3, "jpeg_quality": quality, "max_pixels": 10**8}
    variants = measure(data, parts=frozenset({"images", "variants"}), **options).variants
    assert variants is not None
    return variants


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 500))
def test_a_fitted_size_fits_and_keeps_the_aspect(width: int, height: int, side: int) -> None:
    w, h = fitted_size(width, height, side)
    assert 1 <= max(w, h) <= side or (w, h) == (width, height)
    assert w <= width
    assert h <= height
    assert abs(w - width * max(w, h) / max(width, height)) <= 1
    assert shrink(np.zeros((height, width, 3), np.uint8), side).shape == (h, w, 3)


@pytest.mark.needs_shared
def test_shrunk_photos_are_within_36_db_of_a_full_decode_and_lanczos(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("**/*.*g")):
        if "orientation" in path.parts:
            continue
        data = path.read_bytes()
        full = Image.open(io.BytesIO(data)).convert("RGB")
        decoded = decode_picture(data, longest_side=1024)
        for side, pixels in pyramid(
            decoded.pixels, full.size, VARIANTS.values(), soft=decoded.soft
        ):
            size = fitted_size(*full.size, side)
            reference = np.asarray(full.resize(size, Image.Resampling.LANCZOS))
            assert pixels.shape == reference.shape
            assert cv2.PSNR(pixels, reference) >= 36, f"{path.name} at {side}"


def test_reduced_decoding_of_a_large_dense_picture_keeps_that_quality() -> None:
    random = np.random.default_rng(1)
    texture = cv2.GaussianBlur(
        random.integers(0, 256, (1650, 2500, 3), dtype=np.uint8), (0, 0), 1.5
    )
    data = files.saved(texture, "JPEG", quality=92)
    full = Image.open(io.BytesIO(data)).convert("RGB")
    pixels, scale = upright_rgb(data, longest_side=1024)
    reference = np.asarray(full.resize((1024, 676), Image.Resampling.LANCZOS))
    assert scale == 1024 / 2500
    assert cv2.PSNR(pixels, reference) >= 36


def test_variants_have_their_sides_and_are_never_enlarged() -> None:
    large = made(files.jpeg(width=1500, height=1000))
    sizes = {name: Image.open(io.BytesIO(v)).size for name, v in large.items()}
    assert sizes == {
        "tiny_64": (64, 43),
        "small_256": (256, 171),
        "medium_750": (750, 500),
        "large_1024": (1024, 683),
    }
    small = made(files.saved(files.scene(100, 200), "PNG"))
    assert [Image.open(io.BytesIO(v)).size for v in small.values()] == [(32, 64)] + 3 * [(100, 200)]


def test_variants_are_upright_jpegs_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"
    for data in (
        files.jpeg(exif=exif, comment=b"a secret place"),
        files.jpeg(
            comment=b"a secret place",
            exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00 a secret place",
        )
        + b"a secret place",
    ):
        for variant in made(data).values():
            image = Image.open(io.BytesIO(variant))
            image.load()
            assert image.format == "JPEG"
            assert not image.getexif()
            assert b"secret" not in variant
    turned = made(files.jpeg(exif=exif))["large_1024"]
    assert Image.open(io.BytesIO(turned)).size == (240, 320)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_small_jpeg_serves_as_its_own_variant_without_loss(progressive: bool) -> None:
    data = files.jpeg(9, progressive=progressive)
    variants = made(data)
    assert variants["medium_750"] is variants["large_1024"]
    np.testing.assert_array_equal(upright_rgb(variants["large_1024"])[0], upright_rgb(data)[0])


def test_an_extravagantly_coded_small_jpeg_is_coded_again() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    data = files.saved(noise, "JPEG", quality=100, subsampling=0)
    assert len(made(data)["large_1024"]) < len(data) * 0.7


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2), (65, 64), (257, 3)])
def test_odd_shapes_pass_through(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 77, np.uint8)
    variants = made(files.saved(pixels, "PNG"))
    assert max(Image.open(io.BytesIO(variants["tiny_64"])).size) == min(64, max(size))
    tiny = upright_rgb(variants["tiny_64"])[0]
    assert len(blurhash(tiny)) == 28
    assert len(phash(gray_dct(tiny[..., 0]))) == 16


def decoded_blurhash(text: str) -> tuple[np.ndarray, int, int]:
    """Linear cosine factors (y, x, 3) of a BlurHash, by the published description."""

    def number(part: str) -> int:
        value = 0
        for c in part:
            value = value * 83 + ALPHABET.index(c)
        return value

    size = number(text[0])
    across, down = size % 9 + 1, size // 9 + 1
    peak = (number(text[1]) + 1) / 166
    average = number(text[2:6])
    factors = [LINEAR_OF_SRGB8[[average >> 16, average >> 8 & 255, average & 255]]]
    for i in range(6, len(text), 2):
        value = number(text[i : i + 2])
        levels = np.array([value // 361, value // 19 % 19, value % 19]) / 9 - 1
        factors.append(np.sign(levels) * levels**2 * peak)
    return np.array(factors).reshape(down, across, 3), across, down


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9))
def test_a_blurhash_decodes_to_the_low_frequencies_of_its_picture(
    seed: int, x: int, y: int
) -> None:
    pixels = files.scene(32, 24, seed)
    text = blurhash(pixels, x_components=x, y_components=y)
    assert len(text) == 4 + 2 * x * y
    factors, across, down = decoded_blurhash(text)
    assert (across, down) == (x, y)
    linear = LINEAR_OF_SRGB8[pixels]
    for j in range(y):
        for i in range(x):
            wave = np.cos(np.pi * j * np.arange(24) / 24)[:, None] * np.cos(
                np.pi * i * np.arange(32) / 32
            )
            exact = (wave[..., None] * linear).mean(axis=(0, 1)) * (1 if i == j == 0 else 2)
            assert np.abs(factors[j, i] - exact).max() < 0.12


def test_the_blurhash_of_black_is_the_one_everybody_has() -> None:
    assert blurhash(np.zeros((8, 8, 3), np.uint8)) == "L00000fQfQfQfQfQfQfQfQfQfQfQ"


def bits(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def hashed(pixels: np.ndarray) -> str:
    return phash(gray_dct(cv2.cvtColor(shrink(pixels, 256), cv2.COLOR_RGB2GRAY)))


@given(st.integers(0, 10_000))
def test_a_hash_survives_scaling_and_compression_and_tells_pictures_apart(seed: int) -> None:
    pixels = files.scene(320, 240, seed)
    again = upright_rgb(files.saved(shrink(pixels, 200), "JPEG", quality=50))[0]
    assert bits(hashed(pixels), hashed(again)) <= 10
    assert bits(hashed(pixels), hashed(files.scene(320, 240, seed + 1))) > 10


def test_plain_pictures_have_one_hash() -> None:
    hashes = {hashed(np.full((50, 70, 3), level, np.uint8)) for level in (20, 100, 200, 255)}
    assert hashes == {"8000000000000000"}


def featured(pixels: np.ndarray) -> VisualFeatures:
    small = shrink(pixels, 128)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return visual_features(gray, small, gray_dct(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)))


def test_a_blurred_picture_is_less_sharp_and_a_flat_one_has_no_contrast() -> None:
    pixels = files.scene(400, 300)
    blurred = cv2.GaussianBlur(pixels, (0, 0), 3)
    assert featured(blurred).sharpness < featured(pixels).sharpness / 4
    flat = featured(np.full((40, 40, 3), 128, np.uint8))
    assert (flat.sharpness, flat.contrast, flat.colorfulness) == (0, 0, 0)
    checks = np.indices((40, 40)).sum(axis=0) % 2 * 255
    assert featured(
        np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    ).contrast == pytest.approx(1)


def test_clipping_counts_what_is_black_and_white() -> None:
    pixels = np.full((10, 10, 3), 128, np.uint8)
    pixels[:3], pixels[9:] = 0, 255
    found = featured(pixels)
    assert (found.clipped_shadows, found.clipped_highlights) == pytest.approx((0.3, 0.1))


def test_grey_is_not_colorful_and_color_is() -> None:
    grey = np.repeat(files.scene()[..., :1], 3, axis=2)
    assert featured(grey).colorfulness == 0
    assert featured(files.scene()).colorfulness > 20


@given(st.integers(0, 10_000))
def test_a_descriptor_has_length_one_and_knows_an_altered_copy(seed: int) -> None:
    pixels = files.scene(320, 240, seed)
    copy = upright_rgb(files.saved(shrink(pixels, 250)[4:-4, 6:-6], "JPEG", quality=60))[0]
    first, second = featured(pixels).descriptor, featured(copy).descriptor
    other = featured(files.scene(320, 240, seed + 1)).descriptor
    assert first.shape == (128,)
    assert first.dtype == np.float32
    assert math.isclose(float(np.linalg.norm(first)), 1, abs_tol=1e-5)
    assert float(first @ second) > max(0.85, float(first @ other))
