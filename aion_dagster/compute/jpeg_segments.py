"""The marker segments of a JPEG file: what is known before a pixel is decoded, and the file without its metadata.

Markers and layouts: ITU-T T.81, annex B; Exif in APP1: CIPA DC-008; ICC profiles in APP2: ICC.1, annex B.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXIF = b"Exif\x00\x00"
_ICC = b"ICC_PROFILE\x00"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_COMMENT = 0xFE
_JFIF, _ADOBE = 0xE0, 0xEE
# After a scan's entropy-coded data: FF that is neither stuffed (00), a restart (D0–D7) nor a fill byte.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class JpegStructureError(ValueError):
    """The marker segments of a JPEG cannot be followed; the message says where."""


@dataclass(frozen=True, slots=True)
class JpegSegments:
    """Frame header and metadata of a JPEG; `width` and `height` are as stored, before orientation.

    `progressive` frames need all their coefficients in memory; `exif` is the TIFF structure with its `Exif` prefix;
    `kept` are the byte ranges of the segments that decoding needs; `scan` is where the first scan begins.
    """

    width: int
    height: int
    components: int
    precision: int
    progressive: bool
    exif: bytes | None
    icc: bytes | None
    kept: tuple[tuple[int, int], ...]
    scan: int


def read_segments(data: bytes) -> JpegSegments:
    """Read everything before the first scan.

    Raises:
        JpegStructureError: the file ends early, a segment has no room, or there is no frame header.
    """
    frame: tuple[int, int, int, int, bool] | None = None
    exif: bytes | None = None
    icc: dict[int, bytes] = {}
    kept: list[tuple[int, int]] = []
    position = 2
    while True:
        marker, start, end = _segment(data, position)
        if marker == _START_OF_SCAN:
            break
        body = data[start + 4 : min(end, start + 20)]
        if marker in _FRAME_HEADERS:
            if len(body) < 6:
                raise JpegStructureError("the frame header is too short")
            size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
            frame = (*size, body[5], body[0], marker in (0xC2, 0xC6, 0xCA, 0xCE))
        elif marker == 0xE1 and exif is None and body.startswith(_EXIF):
            exif = data[start + 4 : end]
        elif marker == 0xE2 and body.startswith(_ICC) and len(body) >= 14:
            icc[body[12]] = data[start + 18 : end]
        if not (0xE0 <= marker <= 0xEF or marker == _COMMENT) or marker in (_JFIF, _ADOBE):
            kept.append((start, end))
        position = end
    if frame is None:
        raise JpegStructureError("there is no frame header before the first scan")
    profile = b"".join(icc[i] for i in sorted(icc)) or None
    return JpegSegments(*frame, exif, profile, tuple(kept), start)


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Marker, start and end of the segment at `position`, fill bytes skipped."""
    if data[position : position + 1] != b"\xff":
        # Junk between segments is skipped, as libjpeg does.
        position = data.find(b"\xff", position)
    while position >= 0 and data[position + 1 : position + 2] in (b"\xff", b"\x00"):
        position = data.find(b"\xff", position + 1)
    if position < 0 or position + 4 > len(data):
        raise JpegStructureError("the file ends before its first scan")
    marker = data[position + 1]
    if marker == _END_OF_IMAGE:
        raise JpegStructureError("the file ends before its first scan")
    if marker == 0x01 or 0xD0 <= marker <= 0xD8:
        return marker, position, position + 2
    length = int.from_bytes(data[position + 2 : position + 4])
    if length < 2 or position + 2 + length > len(data):
        raise JpegStructureError(f"the segment at byte {position} is longer than the file")
    return marker, position, position + 2 + length


def without_metadata(data: bytes, segments: JpegSegments) -> bytes:
    """The same coded pixels without Exif, profiles, comments, previews, and whatever follows the picture's end.

    Raises:
        JpegStructureError: the end of the picture is not marked.
    """
    end = _end_of_image(data, segments.scan)
    kept = memoryview(data)  # slices of which copy nothing
    parts = [kept[start:stop] for start, stop in segments.kept]
    return b"".join([b"\xff\xd8", *parts, kept[segments.scan : end]])


def _end_of_image(data: bytes, scan: int) -> int:
    position = scan
    while True:
        marker, _, position = _segment(data, position)
        if marker == _START_OF_SCAN or 0xD0 <= marker <= 0xD7:
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise JpegStructureError("the end of the picture is not marked")
            position = found.start()
        if data[position : position + 2] == b"\xff\xd9":
            return position + 2
