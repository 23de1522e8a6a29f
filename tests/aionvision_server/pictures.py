"""Small real pictures, each with bytes of its own."""

from __future__ import annotations

import io

from PIL import Image


def jpeg(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """The picture of this number: always the same bytes, other ones for another number."""
    buffer = io.BytesIO()
    color = (number % 256, number // 256 % 256, number // 65536 % 256)
    picture = Image.new("RGB", size, color)
    picture.putpixel((0, 0), (255 - color[0], color[1], color[2]))
    # A comment, since neighbouring colors may become the same pixels.
    picture.save(buffer, "JPEG", comment=f"picture {number}".encode())
    return buffer.getvalue()
