"""JPEG files turned without loss: their blocks change places, and nothing is decoded into pixels.

The work is libjpeg-turbo's, through its TurboJPEG API (2.0 or newer). It is a library of the system
(`apt-get install libturbojpeg0`, `brew install jpeg-turbo`) and may be missing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

NAMES: tuple[str, ...] = (
    "libturbojpeg.so.0",
    "libturbojpeg.0.dylib",
    "/opt/homebrew/lib/libturbojpeg.dylib",
    "turbojpeg",
)
"""Where the library is looked for; a name without an ending is given to the system's own search."""

NOT_INSTALLED: Final = "libturbojpeg is not installed"
NOT_ALIGNED: Final = "its blocks do not align"
REFUSED: Final = "libturbojpeg does not take it"

MAX_PIXELS: Final = 178_956_970
"""Where Pillow, too, refuses a picture as a decompression bomb."""

# enum TJXOP of turbojpeg.h: what brings a picture stored with this EXIF orientation upright.
_OPERATIONS: Final[Mapping[int, int]] = MappingProxyType({2: 1, 3: 6, 4: 2, 5: 3, 6: 5, 7: 4, 8: 7})
_PERFECT: Final = 1  # TJXOPT: refuse what would leave an edge as it was
_PROGRESSIVE: Final = 32  # TJXOPT
_STOP_ON_WARNING: Final = (
    8192  # TJFLAG; without it a damaged file fails, too, but after all the work
)
_LIMIT_SCANS: Final = 32768  # TJFLAG, of 2.1 and newer: no file of thousands of empty scans


class NotTurnedError(ValueError):
    """A JPEG cannot be turned without loss; the message, one of a few, says why."""


class _Region(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("w", ctypes.c_int),
        ("h", ctypes.c_int),
    )


class _Transform(ctypes.Structure):
    _fields_ = (
        ("r", _Region),
        ("op", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("customFilter", ctypes.c_void_p),
    )


def is_installed() -> bool:
    """Whether the library is there."""
    return _library(NAMES) is not None


def turned_losslessly(
    data: bytes, orientation: int, size: tuple[int, int], *, progressive: bool = False
) -> bytes:
    """A JPEG turned upright, with all its metadata as it was, so that its EXIF may still ask to turn it.

    The coefficients are those of the file: turning the result back gives every pixel again. Its decoded pixels are
    those of the upright picture, but for what a decoder does across blocks and directions: smoothed chroma of a
    subsampled picture, and now and then a step of 1 from rounding rows before columns. The same library gives the
    same bytes.

    Args:
        data: a whole JPEG file.
        orientation: its EXIF orientation, 2 to 8.
        size: width and height in pixels that its header states, as stored.
        progressive: write a progressive file.

    Raises:
        NotTurnedError: the library is not there; a block at an edge is only partly used and would move inwards; the
            file is damaged, too large, or of a kind that the library does not turn.
    """
    library = _library(NAMES)
    if library is None:
        raise NotTurnedError(NOT_INSTALLED)
    if size[0] * size[1] > MAX_PIXELS:
        raise NotTurnedError(REFUSED)
    handle = library.tjInitTransform()
    if not handle:
        raise NotTurnedError(REFUSED)
    options = _PERFECT | (_PROGRESSIVE if progressive else 0)
    wanted = _Transform(op=_OPERATIONS[orientation], options=options)
    made, length = ctypes.c_void_p(), ctypes.c_ulong()
    try:
        failed = library.tjTransform(
            handle,
            data,
            len(data),
            1,
            ctypes.byref(made),
            ctypes.byref(length),
            ctypes.byref(wanted),
            _STOP_ON_WARNING | _LIMIT_SCANS,
        )
        if failed:
            reason = library.tjGetErrorStr2(handle) or b""
            raise NotTurnedError(NOT_ALIGNED if b"not perfect" in reason else REFUSED)
        return ctypes.string_at(made, length.value)
    finally:
        library.tjFree(made)
        library.tjDestroy(handle)


@cache
def _library(names: tuple[str, ...]) -> ctypes.CDLL | None:
    """The first of the libraries that can be loaded and has what is needed."""
    for name in names:
        found = name if "." in name else ctypes.util.find_library(name)
        if found is None:
            continue
        try:
            return _declared(ctypes.CDLL(found))
        except (OSError, AttributeError):  # not there, or older than 2.0
            continue
    return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.tjInitTransform.argtypes = ()
    library.tjInitTransform.restype = ctypes.c_void_p
    library.tjTransform.argtypes = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_ulong,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_ulong),
        ctypes.POINTER(_Transform),
        ctypes.c_int,
    )
    library.tjTransform.restype = ctypes.c_int
    library.tjGetErrorStr2.argtypes = (ctypes.c_void_p,)
    library.tjGetErrorStr2.restype = ctypes.c_char_p
    library.tjFree.argtypes = (ctypes.c_void_p,)
    library.tjFree.restype = None
    library.tjDestroy.argtypes = (ctypes.c_void_p,)
    library.tjDestroy.restype = ctypes.c_int
    return library
