"""Small pictures of every format, and what disks, networks and attackers make of them."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms


def scene(size: tuple[int, int] = (48, 36), seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 4, size[0] // 4, 3))
    return Image.fromarray(pixels.astype(np.uint8)).resize(size)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def originals() -> dict[str, bytes]:
    """Name → a good file."""
    image = scene()
    frames = {"save_all": True, "append_images": [scene(seed=1), scene(seed=2)], "duration": 50}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    deep = Image.fromarray(np.arange(48 * 36, dtype=np.uint16).reshape(36, 48) * 37)
    return {
        "jpeg": saved(image, "JPEG"),
        "jpeg progressive": saved(image, "JPEG", progressive=True),
        "jpeg exif": saved(image, "JPEG", exif=exif),
        "jpeg icc": saved(image, "JPEG", icc_profile=profile),
        "jpeg cmyk": saved(image.convert("CMYK"), "JPEG"),
        "jpeg grey": saved(image.convert("L"), "JPEG"),
        "png": saved(image, "PNG"),
        "png palette": saved(image.quantize(16), "PNG"),
        "png alpha": saved(image.convert("RGBA"), "PNG"),
        "png 16 bits": saved(deep, "PNG"),
        "png animated": saved(image, "PNG", **frames),
        "webp": saved(image, "WEBP"),
        "webp lossless": saved(image, "WEBP", lossless=True),
        "webp animated": saved(image, "WEBP", **frames),
        "gif": saved(image, "GIF"),
        "gif animated": saved(image, "GIF", **frames),
        "tiff": saved(image, "TIFF", compression="tiff_deflate"),
        "bmp": saved(image, "BMP"),
    }


def flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def overwrite(data: bytearray, chance: random.Random) -> None:
    """Bytes that decoders mind: zeros, ones, lengths, markers."""
    at, length = chance.randrange(len(data)), chance.choice((1, 2, 4, 8))
    value = chance.choice((b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01"))
    data[at : at + length] = value * len(data[at : at + length])


def remove(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 64)]


def repeat(data: bytearray, chance: random.Random) -> None:
    at, times = chance.randrange(len(data)), chance.choice((1, 2, 16, 256))
    part = bytes(data[at : at + chance.randrange(1, 256)])
    data[at:at] = part * times


def splice(data: bytearray, chance: random.Random) -> None:
    other = chance.choice(sorted(originals().items()))[1]
    at, start = chance.randrange(len(data)), chance.randrange(len(other))
    data[at:] = other[start:]


def grow_header(data: bytearray, chance: random.Random) -> None:
    """Larger sizes where headers of small files have theirs: within the first bytes."""
    at = chance.randrange(min(len(data), 256))
    data[at : at + 2] = chance.choice((b"\xff\xff", b"\x40\x00", b"\x00\x40", b"\x7f\xff"))


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits,
    flip_bits,
    cut,
    overwrite,
    remove,
    repeat,
    splice,
    grow_header,
)


def mutated(seed: int) -> tuple[str, bytes]:
    """The name and bytes of one damaged file; the same for the same seed."""
    chance = random.Random(seed)
    name, good = chance.choice(sorted(originals().items()))
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if data:
            chance.choice(MUTATIONS)(data, chance)
    if name.startswith("png") and chance.random() < 0.7:
        data = with_checksums(data)
    return name, bytes(data)


def with_checksums(data: bytearray) -> bytearray:
    """A PNG whose chunks have the checksums that they need, so that decoders go on to their content."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4
    return data
