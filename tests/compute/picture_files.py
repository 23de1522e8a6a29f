"""Picture files that the tests make themselves, good and bad."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from aion_dagster.compute.picture_pass import PictureInput
from aion_dagster.values import FileRef


def scene(width: int = 320, height: int = 240, seed: int = 0) -> np.ndarray:
    """A picture with smooth light, edges and texture: uint8 (h, w, 3), different for every seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    light = np.stack(
        [
            128 + 100 * np.sin(x / width * f + y / height * g + p)
            for f, g, p in random.uniform(1, 6, (3, 3))
        ],
        axis=2,
    )
    for _ in range(4):
        top, left = random.integers(0, height), random.integers(0, width)
        box = (slice(top, top + height // 3), slice(left, left + width // 3))
        light[box] = random.integers(0, 256, 3)
    return np.clip(light + random.normal(0, 4, light.shape), 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray | Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(seed: int = 0, width: int = 320, height: int = 240, **options: object) -> bytes:
    return saved(scene(width, height, seed), "JPEG", **{"quality": 90, **options})


def with_orientation(orientation: int, kind: str, pixels: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
    return saved(pixels, kind, exif=exif, **lossless.get(kind, {}))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header promises much more than it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def gif_claiming(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("P", (4, 4)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def webp_claiming(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp_claiming(width: int, height: int) -> bytes:
    data = bytearray(saved(scene(8, 8), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff_claiming(width: int, height: int) -> bytes:
    """Little-endian TIFF with the two sizes patched in its first directory."""
    data = bytearray(saved(scene(8, 8), "TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    for i in range(struct.unpack_from("<H", data, start)[0]):
        entry = start + 2 + 12 * i
        tag = struct.unpack_from("<H", data, entry)[0]
        if tag in (256, 257):
            struct.pack_into("<HHII", data, entry, tag, 4, 1, width if tag == 256 else height)
    return bytes(data)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(jpeg(width=16, height=16))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def picture(name: str, data: bytes | Exception, size: int | None = None) -> PictureInput:
    """An input whose read gives the bytes or raises the exception."""

    def read() -> bytes:
        if isinstance(data, Exception):
            raise data
        return data

    length = size if size is not None else 0 if isinstance(data, Exception) else len(data)
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return PictureInput(FileRef("test", f"file:///{name}", name, "1", length, when), read)


def from_disk(path: Path) -> PictureInput:
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    ref = FileRef("test", path.as_uri(), path.name, "1", path.stat().st_size, when)
    return PictureInput(ref, path.read_bytes)
