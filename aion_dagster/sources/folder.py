"""A folder of this machine as a source."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from aion_dagster.errors import (
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
)
from aion_dagster.sources.selection import Selection
from aion_dagster.sources.source import ScanPage, Source
from aion_dagster.sources.walk import Entry, Walk
from aion_dagster.values import FileRef

PAGE_FILES: Final = 10_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRIES_PER_CLOCK = 256


class FolderSource(Source):
    """The possible pictures of a folder, in byte order of their paths.

    - `uri` is `file://` with every byte outside the unreserved characters percent-encoded, so any name survives.
    - `version` is `<mtime in ns>-<size>`. The inode is no part of it: it changes when a folder is restored from a
      backup, and on network file systems between mounts, which would make every file new. What this cannot see: a
      change that keeps both size and mtime (to the resolution of the file system).
    - Links to files inside the folder are taken as further names of the same content. Links to folders inside are
      not followed, since their files are listed at their own place; links that leave the folder are not followed;
      both are reported, as are links to nothing. So no loop can occur.
    - Sockets, pipes and devices are passed over, and so is every folder that holds a store.
    """

    def __init__(
        self,
        name: str,
        root: Path | str,
        *,
        recursive: bool = True,
        include_hidden: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        documents: Sequence[str] = (),
        max_bytes: int | None = None,
        page_files: int = PAGE_FILES,
    ) -> None:
        """Describe the source; nothing is read yet.

        Args:
            name: the source's name.
            root: the folder.
            recursive: go into folders below it.
            include_hidden: take names that begin with a dot.
            include: patterns of names to take; see `Selection`.
            exclude: patterns of names to leave out.
            documents: formats of documents (pdf, docx, txt, md) to take beside pictures.
            max_bytes: larger files are listed and cannot be read.
            page_files: files in one page of a scan.
        """
        self._name = name
        # Absolute, but links on the way to the folder stay: what the user named is what the URIs say.
        self.root = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 - see above
        self._recursive = recursive
        self._selection = Selection(
            tuple(include), tuple(exclude), include_hidden, tuple(documents)
        )
        self._max_bytes = max_bytes
        self._page_files = page_files

    @property
    def name(self) -> str:
        """The source's name."""
        return self._name

    def check(self) -> None:
        """See `Source.check`."""
        if not self.root.is_dir():
            raise SourceError(f"source {self.root}: is not a folder")

    def scan(self, cursor: str | None = None, deadline: float | None = None) -> ScanPage:
        """The next page; see `Source.scan`. Files that appear before the cursor meanwhile come with the next scan.

        Raises:
            SourceError: the folder is missing or cannot be listed, or is a store.
        """
        files: list[FileRef] = []
        walk = Walk(self.root, self._selection, recursive=self._recursive)
        prefix = "file://" + quote_from_bytes(os.fsencode(self.root).rstrip(b"/")) + "/"
        place: str | None = None
        for count, entry in enumerate(walk.entries(cursor), start=1):
            if entry.found is not None:
                files.append(self._reference(prefix, entry, entry.found))
            late = (
                deadline is not None
                and count % _ENTRIES_PER_CLOCK == 0
                and time.monotonic() >= deadline
            )
            if late or len(files) >= self._page_files:
                place = quote_from_bytes(entry.relative)
                break
        return ScanPage(
            tuple(files),
            place,
            tuple(walk.problems),
            present=tuple(prefix + quote_from_bytes(p) for p in walk.unread),
            unlisted=tuple(f"{prefix}{quote_from_bytes(p)}/" for p in walk.unlisted),
        )

    def read(self, ref: FileRef) -> bytes:
        """The bytes of this version, checked against size and time before and after reading; see `Source.read`."""
        if self._max_bytes is not None and ref.size_bytes > self._max_bytes:
            raise FileTooLargeError(
                f"{ref.name}: {ref.size_bytes:,} bytes, {self._max_bytes:,} are allowed."
            )
        path = self._inside(ref)
        try:
            # Non-blocking, so that a pipe which took the file's place does not hang the run.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                self._check(ref, os.fstat(handle))
                # One byte more than listed tells a file that grows.
                data = b"".join(_pieces(handle, ref.size_bytes + 1))
                self._check(ref, os.fstat(handle))
            finally:
                os.close(handle)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileVanishedError(f"{ref.name}: the file is gone.") from error
        except OSError as error:
            raise SourceError(f"{ref.name}: cannot be read ({error.strerror}).") from error
        if len(data) != ref.size_bytes:
            raise FileChangedError(f"{ref.name}: the file changes while it is read.")
        return data

    def local_path(self, ref: FileRef) -> Path | None:
        """The file's path, any link followed, where exactly this version lies there now; see `Source.local_path`."""
        path = self._inside(ref)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileVanishedError(f"{ref.name}: the file is gone.") from error
        except OSError as error:
            raise SourceError(f"{ref.name}: cannot be read ({error.strerror}).") from error
        self._check(ref, found)
        return path

    def _inside(self, ref: FileRef) -> Path:
        """The real path of a reference, which must not leave the folder."""
        if not ref.uri.startswith("file:///"):
            raise SourceError(f"{ref.uri} is no file of the folder {self.root}.")
        named = os.fsdecode(unquote_to_bytes(ref.uri.removeprefix("file://")))
        real = Path(os.path.realpath(named))
        if not real.is_relative_to(os.path.realpath(self.root)):
            raise SourceError(f"{ref.name}: the file lies outside the folder {self.root}.")
        return real

    def _check(self, ref: FileRef, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise FileVanishedError(f"{ref.name}: there is no regular file any more.")
        if _version(found) != ref.version:
            raise FileChangedError(f"{ref.name}: the file changed after it was listed.")

    def _reference(self, prefix: str, entry: Entry, found: os.stat_result) -> FileRef:
        return FileRef(
            source=self.name,
            uri=prefix + quote_from_bytes(entry.relative),
            name=entry.name,
            version=_version(found),
            size_bytes=found.st_size,
            modified_at=_moment(found.st_mtime_ns),
        )


def _pieces(handle: int, limit: int) -> Iterator[bytes]:
    """Up to `limit` bytes; a single read may return fewer than asked for."""
    while limit > 0 and (piece := os.read(handle, limit)):
        limit -= len(piece)
        yield piece


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}"


def _moment(mtime_ns: int) -> datetime:
    """Nanoseconds since 1970 as UTC; times that no calendar holds (damaged file systems) become 1970."""
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return _EPOCH
