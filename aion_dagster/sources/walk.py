"""Going through a folder in byte order of the paths, from any point on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from aion_dagster.errors import SourceError
from aion_dagster.sources.selection import Selection
from aion_dagster.values import Loss

STORE_MARKER: Final = "aion-store.json"
"""The file that makes a folder a store (as `storage.store.MARKER`; the two rooms do not know each other)."""


class Entry(NamedTuple):
    """A place in the walk; `found` is None where there is nothing to take, such as a folder to go into."""

    relative: bytes
    name: str
    found: os.stat_result | None


class Walk:
    """One pass through a folder.

    Attributes:
        problems: what cannot be listed, with the reason.
        unlisted: folders that cannot be listed.
        unread: files that are there and cannot be looked at.
    """

    def __init__(self, root: Path, selection: Selection, *, recursive: bool) -> None:
        """Walk below `root`, taking what `selection` takes."""
        self._root = os.fsencode(root)
        self._real_root = os.path.realpath(self._root)
        self._selection = selection
        self._recursive = recursive
        self.problems: list[Loss] = []
        self.unlisted: list[bytes] = []
        self.unread: list[bytes] = []

    def entries(self, cursor: str | None) -> Iterator[Entry]:
        """Entries after the cursor (the percent-encoded `relative` of an earlier entry).

        A folder's own entry ends with `/` and comes before what is in it.

        Raises:
            SourceError: the root cannot be listed, or is a store.
        """
        after = b"" if cursor is None else unquote_to_bytes(cursor)
        steps = after.split(b"/")
        pending = [iter(self._listing(b"", steps[0]))]
        while pending:
            item = next(pending[-1], None)
            if item is None:
                pending.pop()
                continue
            relative, entry = item
            if not entry.is_dir(follow_symlinks=False):
                if relative != after:
                    yield self._file(relative, entry)
            elif self._recursive and self._selection.takes_folder(_printable(relative)):
                is_on_way = after.startswith(relative + b"/")
                if not is_on_way:
                    yield Entry(relative + b"/", "", None)
                first = steps[relative.count(b"/") + 1] if is_on_way else b""
                pending.append(iter(self._listing(relative, first)))

    def _listing(self, relative: bytes, first: bytes) -> list[tuple[bytes, os.DirEntry[bytes]]]:
        """A folder's entries in byte order, from the name `first` on; empty where it is a store or unreadable."""
        folder = self._root + b"/" + relative
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda e: e.name)
        except OSError as error:
            if not relative:
                raise SourceError(
                    f"The folder {_printable(self._root)} cannot be listed ({error.strerror})."
                ) from error
            self.unlisted.append(relative)
            self._report("missing", relative, f"the folder cannot be listed ({error.strerror})")
            return []
        if any(e.name == STORE_MARKER.encode() for e in entries):
            if not relative:
                raise SourceError(
                    f"{_printable(self._root)} is a store: choose another folder for the store or for the pictures."
                )
            return []
        prefix = relative + b"/" if relative else b""
        return [(prefix + e.name, e) for e in entries if e.name >= first]

    def _file(self, relative: bytes, entry: os.DirEntry[bytes]) -> Entry:
        name = _printable(relative)
        if not self._selection.takes_file(name):
            return Entry(relative, name, None)
        try:
            if entry.is_symlink() and not self._follows(relative, entry):
                return Entry(relative, name, None)
            found = entry.stat()
        except FileNotFoundError:  # removed while we look
            return Entry(relative, name, None)
        except OSError as error:
            self.unread.append(relative)
            self._report("missing", relative, f"the file cannot be looked at ({error.strerror})")
            return Entry(relative, name, None)
        return Entry(relative, name, found if stat.S_ISREG(found.st_mode) else None)

    def _follows(self, relative: bytes, link: os.DirEntry[bytes]) -> bool:
        """True for a link to a file inside the root; the others are reported."""
        target = os.path.realpath(link.path)
        if not (target + b"/").startswith(self._real_root.rstrip(b"/") + b"/"):
            self._report("dropped", relative, "a link that leaves the folder is not followed")
        elif os.path.isdir(target):  # noqa: PTH112 - names are bytes
            self._report(
                "deduplicated",
                relative,
                "a link to a folder; its files are listed at their own place",
            )
        elif not os.path.exists(target):  # noqa: PTH110 - names are bytes
            self._report("missing", relative, "a link to nothing")
        else:
            return True
        return False

    def _report(self, kind: str, relative: bytes, detail: str) -> None:
        self.problems.append(Loss(kind, _printable(relative), detail))


def _printable(path: bytes) -> str:
    """As UTF-8; bytes that are not are written as \\xNN."""
    return path.decode("utf-8", "backslashreplace")
