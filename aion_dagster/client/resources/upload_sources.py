"""Files to send: where their bytes come from, read piece by piece and anew for every try."""

from __future__ import annotations

import mimetypes
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import IO, Final, TypeAlias, cast

from aion_dagster.client import limits
from aion_dagster.client.calls import Part
from aion_dagster.client.errors import UploadError, ValidationError

FileInput: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]
"""A path, bytes, or a file that is open for reading and can be rewound; the latter is sent from its beginning."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that are on their way and the bytes in all; begins at 0 again with every try."""

IMAGE_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""Suffixes of the pictures that the API takes."""

Watch: TypeAlias = "Callable[[Sequence[Source]], Callable[[int, int], None]]"
"""Called at each try with the files; what it returns is called with the place of a file among them and the bytes read."""

PIECE: Final = 1 << 16
"""Bytes that are read at once."""

_BEGINNINGS: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n", "image/png"), (b"GIF8", "image/gif"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send.

    Args:
        name: the name that is sent.
        media_type: as sent.
        size: bytes, when it was looked at.
        content: where the bytes are.
    """

    name: str
    media_type: str
    size: int
    content: Path | bytes | IO[bytes]

    @property
    def is_image(self) -> bool:
        """Whether it is of a kind that is described."""
        return self.media_type in IMAGE_TYPES.values()

    def problem(self, most: int = limits.STREAMED_BYTES) -> str | None:
        """Why the server would refuse it; None where it would not."""
        if self.size == 0:
            return f"{self.name} is empty"
        if self.size > most:
            return f"{self.name} has {self.size:,} bytes, {most:,} are allowed"
        return None

    def check(self, field: str = "file", most: int = limits.STREAMED_BYTES) -> None:
        """Refuse what the server would refuse.

        Raises:
            ValidationError: it is empty or too large.
        """
        reason = self.problem(most)
        if reason is not None:
            raise limits.refuse(field, reason)

    def renamed(self, name: str) -> Source:
        """The same under another name."""
        return replace(self, name=_sendable(name))

    def opened(self) -> Source:
        """The same, looked at anew: a file on disk may have another size by now."""
        if isinstance(self.content, Path):
            return replace(self, size=_size_of(self.content, "file"))
        return self

    def pieces(self, told: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """Its bytes, piece by piece; `told` hears of every piece."""
        reading = Reading(self, told)
        while piece := reading.read(PIECE):
            yield piece


class Reading:
    """A source as a form's encoder reads it: opened at the first byte, closed behind the last.

    Open files are few however many files a form has, and a try that ends early leaves one open at most, which is closed
    with this object.
    """

    def __init__(self, source: Source, told: Callable[[int], None] | None = None) -> None:
        """Read `source`; `told` is called with the length of each piece."""
        self._source = source
        self._told = told
        self._at = 0
        self._file: IO[bytes] | None = None

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size}[whence]
        self._at = base + offset
        self._close()
        return self._at

    def read(self, size: int = PIECE) -> bytes:
        """The next bytes.

        Raises:
            UploadError: the file cannot be read, or is not as long as it was.
        """
        left = self._source.size - self._at
        if left <= 0:
            self._close()
            return b""
        piece = self._piece(min(size, left) if size >= 0 else left)
        if not piece:
            raise UploadError(
                f"{self._source.name}: became shorter while it was sent", code="FILE_CHANGED"
            )
        self._at += len(piece)
        if self._told is not None:
            self._told(len(piece))
        return piece

    def _piece(self, size: int) -> bytes:
        content = self._source.content
        if isinstance(content, bytes):
            return content[self._at : self._at + size]
        try:
            if self._file is None:
                self._file = content.open("rb") if isinstance(content, Path) else content
                self._file.seek(self._at)
            return self._file.read(size)
        except (OSError, ValueError) as error:
            raise UploadError(
                f"{self._source.name}: cannot be read: {error}", code="FILE_UNREADABLE"
            ) from error

    def _close(self) -> None:
        if self._file is not None and isinstance(self._source.content, Path):
            self._file.close()
        self._file = None

    def __del__(self) -> None:
        """Close what a broken connection left open."""
        self._close()


def source_of(file: FileInput, filename: str | None = None, *, field: str = "file") -> Source:
    """A file to send, looked at but not read.

    Args:
        file: path, bytes, or an open file.
        filename: the name to send; bytes, and files without a name, need one.
        field: whom an error names.

    Raises:
        ValidationError: it is not there, cannot be read or rewound, or has no name.
    """
    content: Path | bytes | IO[bytes]
    if isinstance(file, bytes):
        content, size, own = file, len(file), None
    elif isinstance(file, str | os.PathLike):
        content = Path(file)
        size, own = _size_of(content, field), content.name
    else:
        content = file
        size, own = _length_of(file, field), getattr(file, "name", None)
    name = filename or (PurePath(own).name if isinstance(own, str) else "")
    if not name:
        raise limits.refuse("filename", "bytes have no name, one must be given")
    return Source(_sendable(name), _media_type(name, content), size, content)


def sources_of(
    files: Sequence[FileInput], filenames: Sequence[str] | None = None, *, field: str = "files"
) -> list[Source]:
    """Several files to send.

    Raises:
        ValidationError: as `source_of`; or not as many names as files; or an open file is there twice.
    """
    if filenames is not None and len(filenames) != len(files):
        raise limits.refuse("filenames", f"{len(filenames)} names for {len(files)} files")
    # Two forms that read one open file at once would get each other's bytes.
    handles = [id(file) for file in files if hasattr(file, "read")]
    if len(handles) != len(set(handles)):
        raise limits.refuse(field, "the same open file is there twice")
    names: Sequence[str | None] = filenames if filenames is not None else [None] * len(files)
    return [source_of(file, name, field=field) for file, name in zip(files, names, strict=True)]


def parts_of(
    field: str, sources: Sequence[Source], on_progress: Progress | None = None
) -> Callable[[], list[Part]]:
    """The files of a form, looked at and read anew at every call; progress counts over all of them."""
    return watched_parts(field, sources, cumulative(on_progress))


def watched_parts(
    field: str, sources: Sequence[Source], watch: Watch | None
) -> Callable[[], list[Part]]:
    """The same, with an eye on each file."""

    def opened() -> list[Part]:
        anew = [source.opened() for source in sources]
        told = watch(anew) if watch is not None else None
        return [
            (field, (source.name, _stream(source, told, place), source.media_type))
            for place, source in enumerate(anew)
        ]

    return opened


def cumulative(on_progress: Progress | None) -> Watch | None:
    """Watch the bytes of all files together."""
    if on_progress is None:
        return None

    def watch(sources: Sequence[Source]) -> Callable[[int, int], None]:
        sent, total = 0, sum(source.size for source in sources)

        def told(_position: int, length: int) -> None:
            nonlocal sent
            sent += length
            on_progress(sent, total)

        return told

    return watch


def _stream(source: Source, told: Callable[[int, int], None] | None, place: int) -> IO[bytes]:
    reading = Reading(source, partial(told, place) if told is not None else None)
    return cast("IO[bytes]", reading)  # what a form's encoder asks of a file


def _size_of(path: Path, field: str) -> int:
    try:
        if path.is_dir():
            raise limits.refuse(field, f"{path} is a folder")
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ValidationError(
            f"{field}: {path}: {error.strerror or error}",
            code="FILE_UNREADABLE",
            details={"field": field},
        ) from error


def _length_of(file: IO[bytes], field: str) -> int:
    try:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file.read(0) != b"":
            raise limits.refuse(field, "is open for text, open it with mode 'rb'")
    except (AttributeError, OSError, ValueError) as error:
        raise limits.refuse(
            field, f"cannot be rewound and sent again, give its bytes or a path: {error}"
        ) from error
    return length


def _media_type(name: str, content: Path | bytes | IO[bytes]) -> str:
    """By the name; by the first bytes where the name says nothing."""
    suffix = PurePath(name).suffix.lower()
    known = IMAGE_TYPES.get(suffix) or mimetypes.guess_type(name, strict=False)[0]
    return known or _sniffed(content) or "application/octet-stream"


def _sniffed(content: Path | bytes | IO[bytes]) -> str | None:
    if isinstance(content, bytes):
        head = content[:12]
    elif isinstance(content, Path):
        with content.open("rb") as file:
            head = file.read(12)
    else:
        head = content.read(12)
        content.seek(0)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _BEGINNINGS if head.startswith(mark)), None)


def _sendable(name: str) -> str:
    """A name that can travel: names of files need not be text, those of forms must."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("_" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
