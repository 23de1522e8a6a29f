"""QR codes and barcodes in pictures, found and decoded by OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

ENGINE: Final = f"opencv-{cv2.__version__}/qr-aruco+barcode"
"""What decodes: library, version, detectors. The ArUco-based QR detector read 100 % of codes a fifth of the width
wide where the older one read 54 %, at the same price."""

_SMALLEST_SIDE: Final = 21
"""A QR code has 21 modules at least; a picture thinner than that in pixels holds no code."""

_BARCODE_KINDS: Final = {"EAN_13": "ean13", "EAN_8": "ean8", "UPC_A": "upca", "UPC_E": "upce"}
_SHORT_KINDS: Final = frozenset({"ean8", "upce"})
_WHITE: Final = 255


@dataclass(frozen=True, slots=True)
class CodeRegion:
    """One code that was decoded.

    `kind` is qr, ean13, ean8, upca or upce; `x`, `y`, `w`, `h` and `polygon` (x1, y1, … x4, y4) are pixels of the
    picture given, clipped to it. `text` comes from outside: hostile until escaped.
    """

    text: str
    kind: str
    x: float
    y: float
    w: float
    h: float
    polygon: tuple[float, ...]


def detect_codes(rgb: NDArray[np.uint8]) -> list[CodeRegion]:
    """Codes of a picture from top to bottom; what cannot be decoded is not reported.

    A QR module should be 2.5 pixels wide or more, a bar 2 pixels.

    Args:
        rgb: (height, width, 3) uint8, upright.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"the picture must be (height, width, 3) uint8, not {rgb.shape} {rgb.dtype}"
        )
    if min(rgb.shape[:2]) < _SMALLEST_SIDE:
        return []
    gray: Gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = gray.shape
    found = {
        _region(text, kind, points, width, height)
        for text, kind, points in (*_qr_codes(gray), *_barcodes(gray))
    }
    return sorted((r for r in found if r.w > 0 and r.h > 0), key=lambda r: (r.y, r.x, r.text))


def _qr_codes(gray: Gray) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    detector = cv2.QRCodeDetectorAruco()
    found, points = detector.detectMulti(gray)
    if not found or points is None:
        return
    # OpenCV 5 hands out bytes; before it only str, which it refuses to make from bytes that are not UTF-8.
    decode = getattr(detector, "decodeBytesMulti", detector.decodeMulti)
    try:
        _, contents, _ = decode(gray, points)
    except UnicodeDecodeError:
        return
    for content, corners in zip(contents, points, strict=False):
        text = content if isinstance(content, str) else _as_text(content)
        if text:
            yield text, "qr", corners


def _as_text(content: bytes) -> str:
    """UTF-8 as nearly every encoder writes it, else ISO 8859-1, the default of ISO/IEC 18004."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _barcodes(gray: Gray) -> list[tuple[str, str, NDArray[np.float32]]]:
    """What the first look that can be believed decodes: as it is; smaller with a white rim; as it is with a white rim.

    The detector looks for patches of parallel edges whose size it derives from the picture; a code that fills the
    picture, or is drawn with very sharp edges, is found only in the later looks. A short code must be read twice: about
    one EAN-13 in a thousand is misread as an EAN-8 whose single check digit happens to hold, but not the same way again.
    """
    margin = max(gray.shape) // 4
    read_once: set[str] = set()
    for scale, rim in ((1.0, 0), (0.5, margin), (1.0, margin)):
        found = list(_barcodes_at(gray, scale, rim))
        believed = [f for f in found if f[1] not in _SHORT_KINDS or f[0] in read_once]
        if believed:
            return believed
        read_once.update(text for text, _, _ in found)
    return []


def _barcodes_at(
    gray: Gray, scale: float, rim: int
) -> Iterable[tuple[str, str, NDArray[np.float32]]]:
    look: NDArray[Any] = gray
    if rim:
        look = cv2.copyMakeBorder(look, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=_WHITE)
    if scale != 1.0:
        look = cv2.resize(look, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    detector = cv2.barcode.BarcodeDetector()
    found, texts, kinds, points = detector.detectAndDecodeWithType(look)
    if not found or points is None:
        return
    for text, kind, corners in zip(texts, kinds, points, strict=True):
        if kind in _BARCODE_KINDS and _checksum_holds(kind, text):
            yield text, _BARCODE_KINDS[kind], corners / scale - rim


def _checksum_holds(kind: str, digits: str) -> bool:
    """The check digit (GS1 General Specifications, 7.9); that of UPC-E belongs to its longer form, OpenCV's matter."""
    if not digits.isascii() or not digits.isdigit():
        return False
    weighted = (int(d) * (3 if i % 2 else 1) for i, d in enumerate(reversed(digits)))
    return kind == "UPC_E" or sum(weighted) % 10 == 0


def _region(
    text: str, kind: str, corners: NDArray[np.float32], width: int, height: int
) -> CodeRegion:
    points = np.clip(
        np.asarray(corners, np.float64).reshape(-1, 2), 0.0, (float(width), float(height))
    )
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    polygon = tuple(float(v) for v in points.ravel())
    return CodeRegion(
        text, kind, float(left), float(top), float(right - left), float(bottom - top), polygon
    )
