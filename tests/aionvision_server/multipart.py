"""Multipart forms, read piece by piece, so that a large file needs no memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from .contents import Collector, Stored

_MOST_HEADER: Final = 16 * 1024
_MOST_FIELD: Final = 1024 * 1024
_PARAMETER: Final = re.compile(r';\s*([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))')


class MalformedError(ValueError):
    """The body is not the form that its header announces."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    field: str
    filename: str
    content_type: str
    stored: Stored


class MultipartReader:
    """Takes a body piece by piece; `fields` and `uploads` are complete after `finish`."""

    def __init__(self, content_type: str, collector: Callable[[], Collector]) -> None:
        """`collector`: makes the place for a file's bytes.

        Raises:
            MalformedError: no boundary.
        """
        boundary = dict(_parameters(content_type)).get("boundary")
        if not boundary:
            raise MalformedError("multipart/form-data without a boundary")
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._collector = collector
        self._buffer = bytearray(b"\r\n")
        self._state = "preamble"
        self._headers: dict[str, str] = {}
        self._file: Collector | None = None
        self._value = bytearray()
        self.fields: list[tuple[str, str]] = []
        self.uploads: list[Upload] = []

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._buffer += data
        while self._step():
            pass

    def finish(self) -> None:
        """The body has ended.

        Raises:
            MalformedError: in the midst of a part.
        """
        if self._state != "end":
            raise MalformedError("the form ends before its last boundary")

    def _step(self) -> bool:
        """Whether there may be more to do with what is here."""
        if self._state == "headers":
            return self._read_headers()
        if self._state == "after":
            return self._after_delimiter()
        if self._state == "end":
            self._buffer.clear()
            return False
        found = self._buffer.find(self._delimiter)
        if found < 0:
            safe = len(self._buffer) - len(self._delimiter) + 1
            if safe > 0:
                self._take(safe)
            return False
        self._take(found)
        del self._buffer[: len(self._delimiter)]
        if self._state == "body":
            self._close_part()
        self._state = "after"
        return True

    def _take(self, count: int) -> None:
        if count and self._state == "body":
            if self._file is not None:
                with memoryview(self._buffer) as view:
                    self._file.write(view[:count])
            else:
                self._value += self._buffer[:count]
                if len(self._value) > _MOST_FIELD:
                    raise MalformedError("a field is too long")
        del self._buffer[:count]

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        self._state = "end" if self._buffer[:2] == b"--" else "headers"
        if self._state == "headers":
            del self._buffer[:2]
        return True

    def _read_headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEADER:
                raise MalformedError("the header of a part is too long")
            return False
        lines = bytes(self._buffer[:end]).decode("utf-8", "replace").split("\r\n")
        del self._buffer[: end + 4]
        pairs = (line.partition(":") for line in lines)
        self._headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._file = self._collector() if "filename" in self._disposition() else None
        self._value = bytearray()
        self._state = "body"
        return True

    def _disposition(self) -> dict[str, str]:
        return dict(_parameters(self._headers.get("content-disposition", "")))

    def _close_part(self) -> None:
        parameters = self._disposition()
        name = parameters.get("name", "")
        if self._file is None:
            self.fields.append((name, self._value.decode("utf-8", "replace")))
            return
        kind = self._headers.get("content-type", "application/octet-stream")
        self.uploads.append(Upload(name, parameters["filename"], kind, self._file.finish()))
        self._file = None


def _parameters(header: str) -> list[tuple[str, str]]:
    found = []
    for name, quoted, bare in _PARAMETER.findall(header):
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
        if name.endswith("*"):
            value, name = unquote(value.rpartition("'")[2]), name[:-1]
        else:
            # Browsers and httpx write these three characters in names so.
            for sign, written in (('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
                value = value.replace(written, sign)
        found.append((name.lower(), value))
    return found
