"""Metadata out of JPEG, PNG and WebP files without touching their pixels."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, NamedTuple

Kind = Literal["jpeg", "png", "webp", "bmp", "other"]

END_OF_JPEG: Final = b"\xff\xd9"
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI mDCv cLLi bKGD hIST pHYs sPLT".split()
)
"""What decides how pixels look; text, EXIF and times go, and so do the further frames of an APNG."""
_PNG_ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
_WEBP_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"})
_WEBP_METADATA_FLAGS: Final = 0x08 | 0x04  # EXIF, XMP
_JPEG_NEXT_MARKER: Final = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_JPEG_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_JPEG_START_OF_SCAN: Final = 0xDA


class DamagedPictureError(ValueError):
    """The structure of a picture file cannot be followed to its end."""


@dataclass(frozen=True)
class Inspection:
    """What a file's structure says, without decoding it.

    `clean`: nothing but pixels, their colors and their size; `complete`: nothing missing and nothing after the end.
    `size` (width, height as stored) and `progressive` are those of a JPEG.
    """

    kind: Kind
    clean: bool = True
    complete: bool = True
    four_channels: bool = False
    animated: bool = False
    size: tuple[int, int] = (0, 0)
    progressive: bool = False


class Part(NamedTuple):
    """A JPEG segment, PNG chunk or RIFF chunk: its name, its bytes from `start` to `end`, how its content begins."""

    name: bytes
    start: int
    end: int
    head: bytes


def inspect(file: BinaryIO) -> Inspection:
    """What kind of picture a seekable file is; reads headers only.

    Raises:
        DamagedPictureError: a JPEG, PNG or WebP file ends before its picture does, or is no such file inside.
    """
    file.seek(0)
    magic = file.read(16)
    if magic.startswith(b"\xff\xd8\xff"):
        return _inspect_jpeg(file)
    if magic.startswith(_PNG_SIGNATURE):
        return _inspect_png(file)
    if magic[:4] == b"RIFF" and magic[8:12] == b"WEBP":
        return _inspect_webp(file)
    if magic.startswith(b"BM"):
        return Inspection("bmp")
    return Inspection("other")


def stripped(data: bytes, kind: Kind, *, keep_metadata: bool = False) -> bytes:
    """The file without EXIF, XMP, IPTC, comments, thumbnails, further frames and bytes after its end.

    Color profiles stay; pixels are not decoded. A JPEG without its end marker gets one.

    Args:
        data: a whole JPEG, PNG or WebP file; other kinds come back as they are.
        keep_metadata: only complete the file and cut what stands after its end.

    Raises:
        DamagedPictureError: the structure cannot be followed.
    """
    if kind == "jpeg":
        return _stripped_jpeg(data, keep_metadata)
    if kind == "png":
        return _stripped_png(data, keep_metadata)
    if kind == "webp" and not keep_metadata:
        return _stripped_webp(data)
    return data


# JPEG: ITU-T T.81 annex B; APP2 "ICC_PROFILE" by ICC.1 annex B.4, APP14 "Adobe" says how colors are coded.


def jpeg_parts(file: BinaryIO, position: int) -> Iterator[Part]:
    """Segments from `position` on, up to and including the header of the next scan or the end marker."""
    while True:
        file.seek(position)
        start = position
        lead = file.read(4)
        while lead[:2] == b"\xff\xff":  # fill bytes before a marker
            position += 1
            lead = lead[1:] + file.read(1)
        if len(lead) < 2 or lead[0] != 0xFF or lead[1] == 0:
            raise DamagedPictureError("a JPEG segment does not begin where it should")
        if lead[:2] == END_OF_JPEG:
            yield Part(lead[1:2], start, position + 2, b"")
            return
        size = int.from_bytes(lead[2:4], "big")
        head = file.read(min(size - 2, 16)) if size >= 2 else b""
        if size < 2 or len(lead) < 4 or len(head) < min(size - 2, 16):
            raise DamagedPictureError("a JPEG segment is cut off")
        position += 2 + size
        yield Part(lead[1:2], start, position, head)
        if lead[1] == _JPEG_START_OF_SCAN:
            return


def _jpeg_kept(part: Part) -> bool:
    marker = part.name[0]
    if marker == 0xE0:
        return part.head.startswith(b"JFIF\0") and not _has_thumbnail(part)
    if marker == 0xE2:
        return part.head.startswith(b"ICC_PROFILE\0")
    if marker == 0xEE:
        return part.head.startswith(b"Adobe")
    return not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _has_thumbnail(jfif: Part) -> bool:
    return len(jfif.head) >= 14 and jfif.head[12] * jfif.head[13] > 0


def _inspect_jpeg(file: BinaryIO) -> Inspection:
    clean, four, size, progressive = True, False, (0, 0), False
    for part in jpeg_parts(file, 2):
        clean = clean and _jpeg_kept(part)
        if part.name[0] in _JPEG_START_OF_FRAME and len(part.head) >= 6:
            four, progressive = part.head[5] == 4, part.name[0] in _JPEG_PROGRESSIVE
            size = int.from_bytes(part.head[3:5]), int.from_bytes(part.head[1:3])
    file.seek(-2, io.SEEK_END)
    complete = file.read(2) == END_OF_JPEG
    return Inspection("jpeg", clean, complete, four, size=size, progressive=progressive)


def _stripped_jpeg(data: bytes, keep_metadata: bool) -> bytes:
    file = io.BytesIO(data)
    out, position = [b"\xff\xd8"], 2
    while True:
        for part in jpeg_parts(file, position):
            if keep_metadata or _jpeg_kept(part):
                out.append(data[part.start : part.end])
            elif part.name == b"\xe0" and part.head.startswith(b"JFIF\0"):
                out.append(b"\xff\xe0\x00\x10" + part.head[:12] + b"\0\0")
            position = part.end
            if part.name == END_OF_JPEG[1:]:
                return b"".join(out)
        found = _JPEG_NEXT_MARKER.search(data, position)
        if found is None:
            return b"".join([*out, data[position:].rstrip(b"\xff"), END_OF_JPEG])
        out.append(data[position : found.start()])
        position = found.start()


# PNG: W3C PNG (third edition), chunk layout.


def _png_parts(file: BinaryIO) -> Iterator[Part]:
    size_of_file = file.seek(0, io.SEEK_END)
    position = len(_PNG_SIGNATURE)
    while True:
        file.seek(position)
        lead = file.read(8)
        end = position + 12 + int.from_bytes(lead[:4], "big")
        if len(lead) < 8 or end > size_of_file:
            raise DamagedPictureError("a PNG chunk is cut off")
        yield Part(lead[4:8], position, end, b"")
        if lead[4:8] == b"IEND":
            return
        position = end


def _inspect_png(file: BinaryIO) -> Inspection:
    clean, animated, end = True, False, 0
    for part in _png_parts(file):
        animated = animated or part.name in _PNG_ANIMATION
        clean = clean and (part.name in _PNG_KEPT or part.name in _PNG_ANIMATION)
        end = part.end
    return Inspection("png", clean, end == file.seek(0, io.SEEK_END), animated=animated)


def _stripped_png(data: bytes, keep_metadata: bool) -> bytes:
    kept = [
        data[part.start : part.end]
        for part in _png_parts(io.BytesIO(data))
        if part.name in _PNG_KEPT or (keep_metadata and part.name not in _PNG_ANIMATION)
    ]
    return b"".join([_PNG_SIGNATURE, *kept])


# WebP: RFC 9649, RIFF chunks padded to even sizes.


def _webp_parts(file: BinaryIO) -> Iterator[Part]:
    size_of_file = file.seek(0, io.SEEK_END)
    file.seek(4)
    end_of_riff = 8 + int.from_bytes(file.read(4), "little")
    if end_of_riff > size_of_file + 1:  # the last byte of padding is often left out
        raise DamagedPictureError("a WebP file is cut off")
    position = 12
    while position + 8 <= min(end_of_riff, size_of_file):
        file.seek(position)
        lead = file.read(8)
        size = int.from_bytes(lead[4:8], "little")
        if position + 8 + size > size_of_file:
            raise DamagedPictureError("a WebP chunk is cut off")
        yield Part(lead[:4], position, position + 8 + size, file.read(min(size, 10)))
        position += 8 + size + (size & 1)


def _inspect_webp(file: BinaryIO) -> Inspection:
    parts = list(_webp_parts(file))
    names = {part.name for part in parts}
    if not names & {b"VP8 ", b"VP8L", b"ANMF"}:
        raise DamagedPictureError("a WebP file without a picture")
    file.seek(4)
    declared = 8 + int.from_bytes(file.read(4), "little")
    return Inspection(
        "webp",
        clean=not (names - _WEBP_KEPT - {b"ANIM", b"ANMF"}),
        complete=file.seek(0, io.SEEK_END) <= declared + 1,
        animated=b"ANMF" in names,
    )


def _stripped_webp(data: bytes) -> bytes:
    body = bytearray(b"WEBP")
    for part in _webp_parts(io.BytesIO(data)):
        if part.name not in _WEBP_KEPT:
            continue
        chunk = bytearray(data[part.start : part.end])
        if part.name == b"VP8X":
            chunk[8] &= ~_WEBP_METADATA_FLAGS & 0xFF
        body += chunk + b"\0" * (len(chunk) & 1)
    return b"RIFF" + struct.pack("<I", len(body)) + bytes(body)
