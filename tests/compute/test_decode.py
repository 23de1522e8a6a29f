"""Decoding: every kind upright and in sRGB, every bad file named for what it is."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import cv2
import numpy as np
import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from aion_dagster.compute.decode import UndecodableError, decode_picture, upright_rgb
from aion_dagster.compute.resize import fitted_size


def refused(data: bytes, **options: int) -> UndecodableError:
    with pytest.raises(UndecodableError) as caught:
        upright_rgb(data, **options)
    return caught.value


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_lossless_formats_give_the_pixels_that_were_saved(kind: str) -> None:
    pixels = files.scene(61, 43)
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_picture(files.saved(pixels, kind, **options))
    assert decoded.format == kind.lower()
    assert (decoded.width, decoded.height, decoded.frame_count) == (61, 43, 1)
    np.testing.assert_array_equal(decoded.pixels, pixels)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_decodes_as_pillow_decodes_it(progressive: bool) -> None:
    data = files.jpeg(3, progressive=progressive)
    pixels, scale = upright_rgb(data)
    assert scale == 1
    assert cv2.PSNR(pixels, files.scene(320, 240, 3)) > 30


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    data = files.saved(Image.fromarray(files.scene()).convert("L"))
    pixels, _ = upright_rgb(data)
    assert pixels.shape == (240, 320, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright_once(kind: str, orientation: int) -> None:
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[:16, :24] = 255, 0, 0
    upright[24:, 40:] = 0, 0, 255
    stored = upright.swapaxes(0, 1) if orientation >= 5 else upright
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (0,), 7: (0, 1), 8: (1,)}
    stored = np.flip(stored, flips[orientation]) if orientation in flips else stored
    decoded = decode_picture(files.with_orientation(orientation, kind, stored))
    assert decoded.exif.orientation == orientation
    assert (decoded.width, decoded.height) == (64, 40)
    assert cv2.PSNR(decoded.pixels, upright) > 25


@pytest.mark.needs_shared
@pytest.mark.parametrize("kind", ["landscape", "portrait"])
def test_the_eight_orientations_of_a_photo_are_one_picture(shared_data: Path, kind: str) -> None:
    first = decode_picture((shared_data / f"orientation/{kind}_1.jpg").read_bytes())
    assert (first.width > first.height) == (kind == "landscape")
    for n in range(2, 9):
        other = decode_picture((shared_data / f"orientation/{kind}_{n}.jpg").read_bytes())
        assert (other.width, other.height) == (first.width, first.height)
        assert other.exif.orientation == n
        # The files were compressed each on its own; turned wrongly they would be near 10 dB.
        assert cv2.PSNR(other.pixels, first.pixels) > 24


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    grey, _ = upright_rgb(files.saved(Image.fromarray(ramp), "PNG"))
    np.testing.assert_array_equal(grey[..., 1], np.arange(256, dtype=np.uint8).reshape(16, 16))
    color = np.stack([ramp, ramp[::-1], ramp.T], axis=2)
    done, encoded = cv2.imencode(".png", color[..., ::-1])
    assert done
    pixels, _ = upright_rgb(encoded.tobytes())
    assert np.abs(pixels.astype(int) - (color / 257)).max() <= 1


def test_transparency_shows_white_whatever_lies_below() -> None:
    hidden = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    assert (upright_rgb(files.saved(hidden, "PNG"))[0] == 255).all()
    assert abs(int(upright_rgb(files.saved(half, "PNG"))[0][0, 0, 0]) - 127) <= 1
    assert (upright_rgb(files.saved(palette, "PNG", transparency=1))[0] == 255).all()
    assert tuple(upright_rgb(files.saved(palette, "PNG"))[0][0, 0]) == (200, 0, 0)


@pytest.mark.parametrize("longest", [1100, 2000, 2800])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_picture_of_any_size_and_mode_is_shrunk_like_by_lanczos(mode: str, longest: int) -> None:
    x, y = np.meshgrid(np.linspace(0, 9, longest), np.linspace(0, 5, longest // 8))
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=2) * 90 + 128
    data = files.saved(Image.fromarray(waves.astype(np.uint8)).convert(mode), "JPEG")
    full = upright_rgb(data)[0]
    pixels, _ = upright_rgb(data, longest_side=1024)
    size = fitted_size(longest, longest // 8, 1024)
    lanczos = Image.fromarray(full).resize(size, Image.Resampling.LANCZOS)
    assert cv2.PSNR(pixels, np.asarray(lanczos)) >= 36


def test_a_cmyk_jpeg_keeps_its_colors() -> None:
    pixels, _ = upright_rgb(files.saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = pixels[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pixels_of_another_color_space_are_converted_to_srgb(kind: str) -> None:
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same profile with red and blue colorants swapped is a color space in which red is blue.
    swapped = (
        lab_profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    )
    swapped = swapped.replace(b"s\x00R\x00G\x00B", b"X\x00X\x00X\x00X").replace(b"sRGB", b"XXXX")
    image = Image.new("RGB", (16, 16), (250, 0, 0))
    options = {"quality": 100} if kind == "JPEG" else {}
    plain, _ = upright_rgb(files.saved(image, kind, icc_profile=lab_profile, **options))
    turned, _ = upright_rgb(files.saved(image, kind, icc_profile=swapped, **options))
    broken, _ = upright_rgb(files.saved(image, kind, icc_profile=b"no profile", **options))
    assert plain[8, 8, 0] > 240
    assert turned[8, 8, 2] > 200
    assert turned[8, 8, 0] < 60
    assert broken[8, 8, 0] > 240


def test_an_animation_gives_its_first_frame_and_their_number() -> None:
    frames = [Image.new("RGB", (10, 10), c) for c in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP"):
        data = files.saved(frames[0], kind, save_all=True, append_images=frames[1:])
        decoded = decode_picture(data)
        assert decoded.frame_count == 3
        assert decoded.pixels[5, 5, 0] > 200
        assert decoded.pixels[5, 5, 1] < 60


def test_the_format_is_what_the_bytes_say() -> None:
    decoded = decode_picture(files.saved(files.scene(), "PNG"))
    assert (decoded.format, decoded.media_type) == ("png", "image/png")


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 400))
def test_a_reduced_picture_has_the_asked_size_and_the_scale_says_so(
    width: int, height: int, side: int
) -> None:
    pixels, scale = upright_rgb(
        files.saved(np.full((height, width, 3), 90, np.uint8)), longest_side=side
    )
    longest = max(width, height)
    assert max(pixels.shape[:2]) == min(longest, side)
    assert scale == max(pixels.shape[:2]) / longest
    assert min(pixels.shape[:2]) == max(1, round(min(width, height) * min(1, side / longest)))


def test_an_empty_file_is_unreadable() -> None:
    error = refused(b"")
    assert (error.status, str(error)) == ("unreadable", "empty file")


@pytest.mark.parametrize(
    "data",
    [
        b"Dear diary, today I was renamed to holiday.jpg\n" * 20,
        b"BMW is a car maker, and this no bitmap.",
        b"%PDF-1.7 ...",
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        bytes(range(256)),
    ],
)
def test_what_is_no_picture_is_unsupported(data: bytes) -> None:
    error = refused(data)
    assert error.status == "unsupported"
    assert "not a picture format" in str(error)


def test_samples_without_a_range_and_camera_raw_files_are_unsupported() -> None:
    assert refused(files.saved(Image.new("F", (8, 8), 0.5), "TIFF")).status == "unsupported"
    raw = files.saved(Image.new("RGB", (8, 8)), "TIFF", tiffinfo={50706: b"\x01\x04\x00\x00"})
    error = refused(raw)
    assert (error.status, error.format) == ("unsupported", "tiff")
    assert "camera raw" in str(error)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off_is_unreadable(kind: str, share: float) -> None:
    image = Image.fromarray(files.scene())
    data = files.saved(image.convert("P") if kind == "GIF" else image, kind)
    assert refused(data[: int(len(data) * share)]).status == "unreadable"


def test_a_cut_off_jpeg_that_was_given_an_end_is_unreadable_all_the_same() -> None:
    data = files.jpeg()
    error = refused(data[: len(data) // 2] + b"\xff\xd9")
    assert (error.status, error.format) == ("unreadable", "jpeg")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    pixels, _ = upright_rgb(files.jpeg() + b"trailing bytes" * 50)
    assert pixels.shape == (240, 320, 3)


@pytest.mark.parametrize(
    "claim",
    [
        files.png_claiming,
        files.jpeg_claiming,
        files.gif_claiming,
        files.bmp_claiming,
        files.tiff_claiming,
        files.webp_claiming,
    ],
)
def test_a_bomb_is_refused_by_its_header(claim: object) -> None:
    before = time.process_time()
    error = refused(claim(50_000, 50_000))  # type: ignore[operator]
    assert error.status == "too_large"
    assert time.process_time() - before < 5  # decoding 7.5 GB would not be over by then


def test_the_limit_counts_pixels_and_is_inclusive() -> None:
    data = files.jpeg(width=100, height=80)
    assert upright_rgb(data, max_pixels=8000)[0].shape == (80, 100, 3)
    error = refused(data, max_pixels=7999)
    assert error.status == "too_large"
    assert "100 × 80" in str(error)
    assert "7999" in str(error)


SAMPLES = [
    files.saved(files.scene(40, 30), kind, **options)
    for kind, options in (
        ("JPEG", {"quality": 80, "exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    )
]
SAMPLES.append(files.saved(Image.fromarray(files.scene(40, 30)).convert("P"), "GIF"))


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4),
    st.floats(0, 1),
)
def test_damage_anywhere_gives_pixels_or_a_reason(
    data: bytes, damage: list[tuple[float, bytes]], cut: float
) -> None:
    damaged = bytearray(data)
    for place, junk in damage:
        start = int(place * len(damaged))
        damaged[start : start + len(junk)] = junk
    damaged = damaged[: int(len(damaged) * max(cut, 0.05))] if cut < 0.5 else damaged
    with contextlib.suppress(UndecodableError):
        pixels, scale = upright_rgb(bytes(damaged), longest_side=64, max_pixels=4_000_000)
        assert pixels.ndim == 3
        assert 0 < scale <= 1


def test_the_same_damaged_bytes_give_the_same_reason() -> None:
    data = files.saved(files.scene(), "GIF")[:20]
    reasons = set()
    for _ in range(3):
        with pytest.raises(UndecodableError) as caught:
            decode_picture(bytes(data))
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    assert "0x" not in reasons.pop()
