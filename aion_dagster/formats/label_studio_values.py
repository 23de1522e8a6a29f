"""What Label Studio writes in its own way: names of pictures, percentages, and masks in bits."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt

from aion_dagster.formats.shapes import LARGEST_PICTURE

PICTURE_KEYS: Final = ("image", "img", "picture", "photo", "captioning", "ocr", "url")
"""Where in a task's data its picture is looked for first."""
_UPLOADED: Final = re.compile(r"^[0-9a-f]{8}-(?=.)")
_PICTURE: Final = re.compile(
    r"\.(jpe?g|jpe|jfif|png|webp|gif|bmp|tiff?|avif|hei[cf]|jp2|jxl)$", re.IGNORECASE
)
_CHANNELS: Final = 4


class BadValueError(ValueError):
    """A value that cannot be used; the text is for the loss report."""


@dataclass(frozen=True)
class Frame:
    """The picture that percentages refer to, in pixels."""

    width: int
    height: int

    def points(self, percentages: Sequence[float]) -> list[float]:
        """x1, y1, x2, … in percent as pixels."""
        sides = (self.width, self.height)
        return [v * sides[i % 2] / 100 for i, v in enumerate(percentages)]


def picture_reference(data: Mapping[str, Any]) -> str | None:
    """The picture that a task is about, as its data say it; None where that is not clear."""
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v.strip()}
    for key in PICTURE_KEYS:
        if key in texts:
            return texts[key]
    pictures = [v for v in texts.values() if _PICTURE.search(urlsplit(v).path)]
    return pictures[0] if len(pictures) == 1 else None


def picture_name(reference: str) -> str | None:
    """The name or URI of a picture from the reference in a task; None where there is none (pixels in the text itself).

    `/data/local-files/?d=PATH` is PATH; of an upload, `/data/upload/PROJECT/1a2b3c4d-name.jpg`, the eight digits that
    Label Studio puts in front are taken off; a URL to a stored file that Label Studio wraps (`?fileuri=`) is unwrapped;
    of any other URL query and fragment are left out.
    """
    text = reference.strip()
    if text.startswith("data:"):
        return None
    if "://" not in text and not text.startswith("/"):
        return text.replace("\\", "/")
    parts = urlsplit(text)
    query = parse_qs(parts.query)
    if parts.path.rstrip("/").endswith("data/local-files") and query.get("d"):
        return query["d"][0].replace("\\", "/")
    if query.get("fileuri"):
        return _unwrapped(query["fileuri"][0])
    if parts.scheme in ("http", "https", ""):
        path = unquote(parts.path)
        if "/data/upload/" in path or path.startswith("data/upload/"):
            return _UPLOADED.sub("", path.rpartition("/")[2])
        return path if not parts.scheme else f"{parts.scheme}://{parts.netloc}{path}"
    return text


def _unwrapped(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return text


def number(value: Any, name: str) -> float:
    """A number of a region.

    Raises:
        BadValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadValueError(f"its {name} is no number")
    return float(value)


def brush_mask(codes: Any, frame: Frame) -> npt.NDArray[np.bool_]:
    """The pixels of a brush stroke, from Label Studio's run-length code in bits.

    Raises:
        BadValueError: the code is damaged, or not that of a picture of this size.
    """
    try:
        data = bytes(codes)
    except (TypeError, ValueError):
        raise BadValueError("its brush strokes are not bytes") from None
    if frame.width * frame.height > LARGEST_PICTURE:
        raise BadValueError(f"a mask of {frame.width}×{frame.height} pixels")
    channels = _decoded(data, frame.width * frame.height * _CHANNELS)
    opaque: npt.NDArray[np.bool_] = (
        channels.reshape(frame.height, frame.width, _CHANNELS)[:, :, 3] > 0
    )
    return opaque


def _decoded(data: bytes, expected: int) -> npt.NDArray[np.uint8]:
    """Words of the code: a header (count, bits of a word, bits of four kinds of lengths), then runs and literals."""
    bits = _Bits(data)
    count, word = bits.read(32), bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    if count != expected or word != 8:
        raise BadValueError("its brush strokes are those of a picture of another size")
    out = np.zeros(count, dtype=np.uint8)
    at = 0
    while at < count:
        repeated = bits.read(1)
        length = bits.read(lengths[bits.read(2)]) + 1
        if at + length > count:
            raise BadValueError("its brush strokes are damaged")
        out[at : at + length] = bits.read(word) if repeated else bits.words(length)
        at += length
    return out


class _Bits:
    """Numbers of any length out of bytes, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, count: int) -> int:
        first, last = self._at >> 3, (self._at + count + 7) >> 3
        if last > len(self._data):
            raise BadValueError("its brush strokes are cut off")
        self._at += count
        return (int.from_bytes(self._data[first:last]) >> (last * 8 - self._at)) & (
            (1 << count) - 1
        )

    def words(self, count: int) -> npt.NDArray[np.uint8]:
        """The next words of eight bits."""
        whole = self.read(8 * count)
        return np.frombuffer(whole.to_bytes(count), dtype=np.uint8)
