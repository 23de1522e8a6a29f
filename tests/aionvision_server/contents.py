"""The bytes that clients send: hashed as they come, kept as far as there is room."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

IN_MEMORY: Final = 256 * 1024
"""Bytes of one file that stay in memory; more go into a temporary file."""

HEAD: Final = 64
"""First bytes, which say what a file is."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that came: what they are, and where they lie."""

    sha256: str
    size: int
    head: bytes
    kept: bytes | Path | None

    def read(self) -> bytes | None:
        """All of them; None where they were too many to keep."""
        return self.kept.read_bytes() if isinstance(self.kept, Path) else self.kept


class Collector:
    """Takes a file's bytes piece by piece."""

    def __init__(self, folder: Path, keep: int) -> None:
        """`folder`: where larger files are put; `keep`: bytes from which on a file is hashed only."""
        self._folder, self._keep = folder, keep
        self._digest = hashlib.sha256()
        self._bytes = bytearray()
        self._head = b""
        self._file: IO[bytes] | None = None
        self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._size += len(data)
        if len(self._head) < HEAD:
            self._head += bytes(data[: HEAD - len(self._head)])
        if self._size > self._keep:
            self._forget()
            return
        if self._file is None and self._size > IN_MEMORY:
            self._file = tempfile.NamedTemporaryFile(dir=self._folder, delete=False)  # noqa: SIM115 - closed by `_forget`
            self._file.write(self._bytes)
            self._bytes = bytearray()
        if self._file is not None:
            self._file.write(data)
        else:
            self._bytes += data

    def finish(self) -> Stored:
        kept: bytes | Path | None = None
        if self._file is not None:
            self._file.close()
            kept = Path(self._file.name)
        elif self._size <= self._keep:
            kept = bytes(self._bytes)
        return Stored(self._digest.hexdigest(), self._size, self._head, kept)

    def _forget(self) -> None:
        self._bytes = bytearray()
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None


def stored(data: bytes) -> Stored:
    """Bytes that are there already."""
    return Stored(hashlib.sha256(data).hexdigest(), len(data), data[:HEAD], data)


def media_type_of(head: bytes) -> str | None:
    """What the first bytes say; None where they say nothing that the API takes as a picture."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None
