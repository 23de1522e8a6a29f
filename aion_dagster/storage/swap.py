"""Replace a whole folder at once: a reader finds the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

from aion_dagster.errors import StorageError
from aion_dagster.storage import durable
from aion_dagster.storage.durable import fsync_folder, hidden_sibling, make_folder, storage_errors

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
"""Both from linux/fcntl.h and linux/fs.h; see renameat2(2)."""
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def staging_folder(place: Path) -> Path:
    """A new, empty, hidden folder beside `place`, to be filled and handed to `swap_folder`.

    Raises:
        StorageError: it cannot be created.
    """
    make_folder(place.parent)
    folder = hidden_sibling(place, "staging")
    with storage_errors("create the folder", folder):
        folder.mkdir()
    return folder


def swap_folder(new: Path, place: Path) -> None:
    """Put the folder `new` at `place`; what was at `place` is removed afterwards. Both lie on one file system.

    Every look-up of `place` finds the complete old folder or the complete new one, also when this process or the
    machine dies at any moment: the content of `new` reaches the disk first, then both names are exchanged in one
    system call (renameat2 with RENAME_EXCHANGE). On systems without it two renames take its place, and for an
    instant `place` is missing. A reader that still has the old folder open sees its files disappear.

    Raises:
        StorageError: the folder could not be put there; `place` is as it was.
    """
    if not new.is_dir():
        raise StorageError(f"Cannot put {new} at {place}: it is not a folder.")
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise StorageError(
            f"Cannot replace {place}: it is not a folder. Move it away and run again."
        )
    with storage_errors("replace the folder", place):
        _sync(new)
        if not place.exists():
            new.rename(place)
            fsync_folder(place.parent)
            return
        old = new if _exchange(new, place) else _rename_twice(new, place)
        fsync_folder(place.parent)
    # The new folder is in place; what cannot be removed of the old one now is left to the next sweep.
    shutil.rmtree(old, ignore_errors=True)


def sweep(parent: Path) -> int:
    """Remove the staging folders and temporary files that killed processes left in `parent`; returns how many."""
    return durable.sweep(parent)


def _rename_twice(new: Path, place: Path) -> Path:
    old = hidden_sibling(place, "staging")
    place.rename(old)
    try:
        new.rename(place)
    except OSError:
        old.rename(place)
        raise
    return old


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    libc = _libc()
    if libc is None or not hasattr(libc, "renameat2"):
        return False
    code = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if code == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync(folder: Path) -> None:
    """Bring everything below `folder` to the disk: one syncfs(2) instead of an fsync for each of many files."""
    libc = _libc()
    if libc is None or not hasattr(libc, "syncfs"):
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


@cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
