"""Advisory locks of open files: the system gives them up when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def attempt(handle: int, operation: int) -> bool:
    """Take a lock (`LOCK_EX` or `LOCK_SH`) without waiting; False where another process has one against it."""
    try:
        fcntl.flock(handle, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(handle: int, path: Path) -> bool:
    """True while the open file is the one that stands at `path`."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), found)
