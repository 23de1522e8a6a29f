"""The places in a JPEG file that ask viewers to turn it, and the small pictures inside that were not turned with it.

Exif in APP1: CIPA DC-008, a TIFF structure; XMP in APP1: ISO 16684-1; multi-picture index in APP2: CIPA DC-007.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Final

from aion_dagster.formats.metadata import Part, jpeg_parts

_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_ORIENTATION: Final = 0x0112
_INTEGERS: Final = {1: "B", 3: "H", 4: "I"}
"""TIFF's types of whole numbers."""

_XMP_ORIENTATION: Final = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")


class OddExifError(ValueError):
    """An Exif block in which the orientation cannot be changed without writing it anew."""


def marked_upright(data: bytes) -> bytes:
    """The file with orientation 1 in Exif and XMP, without the thumbnail of Exif and JFIF and the index of pictures.

    All else stays at its place, so what a camera's maker notes point to is still there.

    Raises:
        OddExifError: the Exif block is damaged, or holds its orientation in another way than cameras write it.
        DamagedPictureError: the structure of the file cannot be followed.
    """
    out, position = [data[:2]], 2
    for part in jpeg_parts(io.BytesIO(data), 2):
        position = part.end
        if not _shows_other_pictures(part):
            out.append(_marked(part, data[part.start : part.end]))
    return b"".join([*out, data[position:]])


def _shows_other_pictures(part: Part) -> bool:
    return (part.name == b"\xe2" and part.head.startswith(b"MPF\0")) or (
        part.name == b"\xe0" and part.head.startswith(b"JFXX\0")
    )


def _marked(part: Part, segment: bytes) -> bytes:
    if part.name != b"\xe1":
        return segment
    content = segment.index(part.name) + 3  # marker and length; fill bytes may stand before them
    if segment.startswith(_EXIF, content):
        start = content + len(_EXIF)
        return segment[:start] + _exif_upright(segment[start:])
    if segment.startswith(_XMP, content):
        return _XMP_ORIENTATION.sub(rb"\g<1>1", segment)
    return segment


def _exif_upright(tiff: bytes) -> bytes:
    """The TIFF structure with orientation 1, and with no directory after the first: that would be the thumbnail's."""
    block = bytearray(tiff)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise OddExifError("an Exif block that does not begin as one")
    try:
        (directory,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", block, entry)
            if tag == _ORIENTATION:
                if kind not in _INTEGERS or values != 1:
                    raise OddExifError("an orientation that is no whole number")
                struct.pack_into(order + _INTEGERS[kind], block, entry + 8, 1)
        struct.pack_into(f"{order}I", block, directory + 2 + 12 * count, 0)
    except struct.error as error:
        raise OddExifError("an Exif block that ends early") from error
    return bytes(block)
