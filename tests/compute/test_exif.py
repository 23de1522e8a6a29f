"""EXIF: time and place where the camera wrote them, nothing where it wrote nonsense."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import picture_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aion_dagster.compute.decode import decode_picture
from aion_dagster.compute.exif import ExifFacts, Gps, parse_exif


def facts(
    *, exif: dict[int, object] | None = None, gps: dict[int, object] | None = None
) -> ExifFacts:
    block = Image.Exif()
    if exif is not None:
        block.get_ifd(0x8769).update(exif)
    if gps is not None:
        block.get_ifd(0x8825).update(gps)
    return parse_exif(block.tobytes())


@pytest.mark.needs_shared
def test_a_camera_photo_says_when_and_where(shared_data: Path) -> None:
    exif = decode_picture((shared_data / "photos/gps/DSCN0010.jpg").read_bytes()).exif
    assert exif.captured_at == datetime(2008, 10, 22, 16, 28, 39)
    assert exif.gps is not None
    assert exif.gps.latitude == pytest.approx(43.46745, abs=1e-4)
    assert exif.gps.longitude == pytest.approx(11.88513, abs=1e-4)


def test_fractions_of_a_second_are_kept() -> None:
    found = facts(exif={0x9003: "2020:02:29 01:02:03", 0x9291: "25"})
    assert found.captured_at == datetime(2020, 2, 29, 1, 2, 3, 250_000)


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2021:02:29 00:00:00", ""]
)
def test_a_date_that_is_none_is_absent(text: str) -> None:
    assert facts(exif={0x9003: text}).captured_at is None


def test_south_and_west_are_negative_and_so_is_below_the_sea() -> None:
    tags = {1: "S", 2: (33.0, 30.0, 36.0), 3: "W", 4: (70.0, 15.0, 0.0), 5: b"\x01", 6: 12.5}
    assert facts(gps=tags).gps == Gps(pytest.approx(-33.51), pytest.approx(-70.25), -12.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {2: (91.0, 0.0, 0.0)},
        {4: (180.0, 0.0, 1.0)},
        {2: (10.0, 75.0, 0.0)},
        {1: ""},
        {3: "X"},
        {9: "V"},
    ],
)
def test_a_place_that_is_not_on_earth_is_absent(wrong: dict[int, object]) -> None:
    tags = {1: "N", 2: (10.0, 20.0, 30.0), 3: "E", 4: (40.0, 50.0, 0.0)}
    assert facts(gps=tags).gps is not None
    assert facts(gps={**tags, **wrong}).gps is None


def test_rationals_over_zero_are_no_place() -> None:
    zero = Image.Exif()
    zero.get_ifd(0x8825).update({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    block = zero.tobytes()
    denominators = block.replace(b"\x00\x00\x00\x00\x00\x00\x00\x01", bytes(8))
    assert denominators != block
    assert parse_exif(denominators).gps is None


@given(st.integers(0, 65535))
def test_an_orientation_outside_one_to_eight_is_one(value: int) -> None:
    block = Image.Exif()
    block[0x0112] = value
    assert parse_exif(block.tobytes()).orientation == (value if 1 <= value <= 8 else 1)


@given(st.binary(max_size=200))
def test_a_broken_block_is_an_absent_one(junk: bytes) -> None:
    header = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08"
    assert 1 <= parse_exif(header + junk).orientation <= 8


def test_a_picture_with_broken_exif_is_still_a_picture() -> None:
    data = files.jpeg(exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00\x07")
    assert decode_picture(data).exif == ExifFacts()
