"""Files that are there completely or not at all: hidden temporary files, fsync, rename."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aion_dagster.errors import StorageError
from aion_dagster.storage import process

_LEFTOVER = re.compile(r"\..+\.(\d+-\d+)\.[0-9a-f]{8}\.(?:tmp|staging)")
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EFBIG: "the file would exceed the largest size allowed here; raise the limit (ulimit -f)",
    errno.EACCES: "permission denied; check the owner of the folder or choose another store",
    errno.EPERM: "permission denied; check the owner of the folder or choose another store",
    errno.EROFS: "the file system is read-only; choose another store",
}


@contextmanager
def storage_errors(doing: str, place: object) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError that says what could not be done, where, and why."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        raise StorageError(f"Cannot {doing} {place}: {reason}.") from error


def hidden_sibling(place: Path, kind: str) -> Path:
    """A fresh hidden name beside `place` that tells which process made it; `kind` is tmp or staging."""
    # A file name has 255 bytes at most; the part that is cut here is there for human readers only.
    stem = place.name[:60]
    return place.parent / f".{stem}.{process.identity()}.{secrets.token_hex(4)}.{kind}"


def is_writable(place: Path) -> bool:
    """Whether this process may write to a file, or create files in a folder."""
    mode = os.W_OK | os.X_OK if place.is_dir() else os.W_OK
    return os.access(place, mode, effective_ids=os.access in os.supports_effective_ids)


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(temporary: Path, place: Path) -> None:
    """Rename a finished temporary file to its place, durably; its content must have been fsynced."""
    temporary.replace(place)
    fsync_folder(place.parent)


def write_file(place: Path, data: bytes) -> None:
    """Replace the file at `place` by `data`: a reader sees the old or the new bytes.

    Raises:
        StorageError: the folder cannot be written; the old file is untouched and nothing is left over.
    """
    temporary = hidden_sibling(place, "tmp")
    with storage_errors("write", place):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            replace_file(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, durably."""
    if folder.is_dir():
        return
    with storage_errors("create the folder", folder):
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for created in reversed(missing):
            fsync_folder(created.parent)


def sweep(folder: Path) -> int:
    """Remove what killed processes left in `folder` (not below it); what a living process writes is left alone.

    Returns:
        How many files and folders were removed.
    """
    if not folder.is_dir():
        return 0
    removed = 0
    with storage_errors("clean up", folder):
        for entry in list(os.scandir(folder)):
            match = _LEFTOVER.fullmatch(entry.name)
            if match is None or process.is_alive(match[1]):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink(missing_ok=True)
            removed += 1
    return removed
