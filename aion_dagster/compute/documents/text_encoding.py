"""Bytes of a text file as characters."""

from __future__ import annotations

import codecs
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; UTF-32's comes first, as UTF-16's is the beginning of it."""

_CONTROLS: Final = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b")
_MOST_CONTROLS: Final = 0.002
"""Share of control characters up to which a file still counts as text."""


def is_text(data: bytes) -> bool:
    """True unless there are zero bytes or more than a few control characters; what has a byte order mark is text."""
    if any(data.startswith(mark) for mark, _ in _MARKS):
        return True
    if b"\x00" in data:
        return False
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return controls <= _MOST_CONTROLS * len(data)


def decode(data: bytes) -> tuple[str, str]:
    """The characters of a text, and the encoding's name.

    A byte order mark decides; else what is valid UTF-8 is UTF-8; else Windows-1252, or Latin-1 where a byte has no
    meaning in that. What a mark promises and the bytes do not keep is replaced by U+FFFD.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        # A file that was cut within its last character is UTF-8 all the same.
        if error.reason == "unexpected end of data" and error.start >= len(data) - 3 > 0:
            return data[: error.start].decode("utf-8"), "utf-8"
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"
