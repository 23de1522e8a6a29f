"""Orientation, time and place from a picture's EXIF, and pixels turned the way they are to be seen.

Tags: CIPA DC-008 (Exif 3.0). Broken EXIF is no broken picture: a field that cannot be read is absent.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

_ORIENTATION: Final = 0x0112
_EXIF_IFD: Final = 0x8769
_GPS_IFD: Final = 0x8825
_DATE_TIME_ORIGINAL: Final = 0x9003
_SUBSEC_TIME_ORIGINAL: Final = 0x9291
_WHEN = re.compile(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}):(\d{2}):(\d{2})")
# What Pillow's lazy TIFF reader lets through for damaged structures.
_DAMAGE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Gps:
    """A place: degrees, north and east positive; altitude in metres above sea level, or None."""

    latitude: float
    longitude: float
    altitude: float | None


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """Orientation 1–8 (1 where absent or invalid), local time of capture, place."""

    orientation: int = 1
    captured_at: datetime | None = None
    gps: Gps | None = None


def parse_exif(block: bytes) -> ExifFacts:
    """Facts from an Exif block as it stands in APP1 of a JPEG (with its `Exif` prefix)."""
    exif = Image.Exif()
    try:
        exif.load(block)
    except _DAMAGE:
        return ExifFacts()
    return facts_of(exif)


def facts_of(exif: Image.Exif) -> ExifFacts:
    """Facts from an Exif that Pillow has read."""
    try:
        orientation = exif.get(_ORIENTATION)
    except _DAMAGE:
        orientation = None
    valid = isinstance(orientation, int) and 1 <= orientation <= 8
    return ExifFacts(
        orientation=int(orientation) if valid and orientation is not None else 1,
        captured_at=_captured_at(_sub_ifd(exif, _EXIF_IFD)),
        gps=_gps(_sub_ifd(exif, _GPS_IFD)),
    )


def _sub_ifd(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(tag)
    except _DAMAGE:
        return {}


def _captured_at(tags: Mapping[int, Any]) -> datetime | None:
    found = _WHEN.match(_text(tags.get(_DATE_TIME_ORIGINAL)))
    if found is None:
        return None
    fraction = re.match(r"\d{1,6}", _text(tags.get(_SUBSEC_TIME_ORIGINAL)))
    microsecond = int(fraction.group().ljust(6, "0")) if fraction else 0
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        return datetime(year, month, day, hour, minute, second, microsecond)
    except ValueError:  # "0000:00:00 00:00:00" is how cameras without a clock say nothing
        return None


def _gps(tags: Mapping[int, Any]) -> Gps | None:
    latitude = _degrees(tags.get(2), _text(tags.get(1)), positive="N", negative="S", limit=90.0)
    longitude = _degrees(tags.get(4), _text(tags.get(3)), positive="E", negative="W", limit=180.0)
    if latitude is None or longitude is None or _text(tags.get(9)).startswith("V"):
        return None  # status V: the receiver says that its measurement is void
    altitude = _number(tags.get(6))
    if altitude is not None and tags.get(5) in (1, b"\x01"):
        altitude = -altitude
    return Gps(latitude, longitude, altitude)


def _degrees(
    value: Any, reference: str, *, positive: str, negative: str, limit: float
) -> float | None:
    """Degrees from (degrees, minutes, seconds) and their reference, or None where they are no place on earth."""
    if not isinstance(value, Sequence) or len(value) != 3:
        return None
    parts = [_number(x) for x in value]
    if any(x is None or x < 0 for x in parts):
        return None
    degrees, minutes, seconds = (x or 0.0 for x in parts)
    total = degrees + minutes / 60 + seconds / 3600
    sign = {positive: 1, negative: -1}.get(reference[:1].upper())
    if sign is None or total > limit or minutes > 60 or seconds > 60:
        return None
    return sign * total


def _number(value: Any) -> float | None:
    """A finite number, or None; rationals with denominator zero are how cameras say nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return value.strip("\x00 ") if isinstance(value, str) else ""


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn stored pixels (h, w, …) the way EXIF `orientation` 1–8 says; contiguous, 5–8 swap the sides."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
