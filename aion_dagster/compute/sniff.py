"""Which picture format a file holds and how large it is, from its first bytes and never from its name."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from aion_dagster.errors import AionError

Status = Literal["unreadable", "unsupported", "too_large"]

MEDIA_TYPES: Final = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
"""Format → media type of every format that is taken."""

_KNOWN_BUT_NOT_TAKEN: Final = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cjP", "a JPEG 2000 picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"<svg", "an SVG drawing"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypcrx", "a camera raw file"),
    (4, b"ftyp", "a video"),
    (8, b"CR\x02", "a camera raw file"),
)
_BMP_HEADER_SIZES: Final = (12, 16, 40, 52, 56, 64, 108, 124)


class UndecodableError(AionError):
    """A file gives no pixels; `status` is its status in `images`, the message the reason, `format` the format if known."""

    def __init__(self, status: Status, reason: str, *, format: str | None = None) -> None:
        """Keep the status and the format beside the message."""
        super().__init__(reason)
        self.status: Status = status
        self.format = format


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A format and, where the first bytes say so, the stored size (width, height) in pixels."""

    format: str
    size: tuple[int, int] | None


def sniff(data: bytes) -> Sniffed:
    """Recognise a picture by its content.

    Raises:
        UndecodableError: `unreadable` for an empty file or a header that is cut off, `unsupported` for anything that
            is not one of `MEDIA_TYPES`.
    """
    if not data:
        raise UndecodableError("unreadable", "empty file")
    name = _format(data)
    if name is None:
        raise UndecodableError("unsupported", f"not a picture format that is taken: {_guess(data)}")
    if name not in _SIZES:
        return Sniffed(name, None)
    try:
        size = _SIZES[name](data)
    except (struct.error, IndexError) as error:
        reason = f"{name} file ends within its header"
        raise UndecodableError("unreadable", reason, format=name) from error
    return Sniffed(name, size)


def check_size(width: int, height: int, *, max_pixels: int, format: str) -> None:
    """Refuse a picture by the size that its header states, before anything is decoded.

    Raises:
        UndecodableError: `too_large` beyond `max_pixels`, `unreadable` where a side is zero or less.
    """
    if width <= 0 or height <= 0:
        reason = f"the header states a size of {width} × {height} pixels"
        raise UndecodableError("unreadable", reason, format=format)
    if width * height > max_pixels:
        reason = (
            f"the header states {width} × {height} = {width * height} pixels, "
            f"more than max_pixels = {max_pixels}"
        )
        raise UndecodableError("too_large", reason, format=format)


def _format(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    # "BM" alone begins many a text; the size of the header that follows does not.
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+") and data[8:11] != b"CR\x02":
        return "tiff"
    return None


def _guess(data: bytes) -> str:
    for offset, magic, meaning in _KNOWN_BUT_NOT_TAKEN:
        if data.startswith(magic, offset):
            return f"it looks like {meaning}"
    head = data[:256]
    if b"\x00" not in head:
        try:
            text = head.decode("utf-8", errors="strict" if len(data) <= 256 else "ignore")
        except UnicodeDecodeError:
            return f"it begins with the bytes {data[:8].hex(' ')}"
        return f"it looks like text, beginning with {text[:24]!r}"
    return f"it begins with the bytes {data[:8].hex(' ')}"


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    if int.from_bytes(data[14:18], "little") in (12, 16):
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means that rows run from top to bottom


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Size from the first chunk: VP8X, VP8L or VP8 (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


_SIZES: Final[dict[str, Callable[[bytes], tuple[int, int] | None]]] = {
    "png": _png_size,
    "gif": _gif_size,
    "bmp": _bmp_size,
    "webp": _webp_size,
}
