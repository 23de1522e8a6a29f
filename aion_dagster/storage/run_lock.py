"""Locks of runs: whether the process that executes one is alive."""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

from aion_dagster.errors import StorageError, StoreLockedError
from aion_dagster.storage.durable import make_folder, storage_errors
from aion_dagster.storage.flock import attempt, is_at

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_RUN_LOCK_SECONDS = 10.0


class RunLock:
    """Held by the process that executes a run, so that others can tell whether the run is alive.

    Raises:
        StoreLockedError: another process executes this run.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        """Name the run; the lock is taken by `with`."""
        self._path = _run_path(root, run_id)
        self._run_id = run_id
        self._handle = -1

    def __enter__(self) -> RunLock:
        """Take the lock."""
        make_folder(self._path.parent)
        limit = time.monotonic() + _RUN_LOCK_SECONDS
        with storage_errors("lock", self._path):
            while True:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
                # A probe (`is_alive`, `sweep_runs`) may hold the lock for an instant, or have removed the file.
                if attempt(handle, fcntl.LOCK_EX) and is_at(handle, self._path):
                    self._handle = handle
                    return self
                os.close(handle)
                if time.monotonic() > limit:
                    raise StoreLockedError(f"Another process executes run {self._run_id}.")
                time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        """Release the lock and remove its file."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)

    @staticmethod
    def is_alive(root: Path, run_id: str) -> bool:
        """True while some process holds the lock of this run."""
        path = _run_path(root, run_id)
        with storage_errors("read the lock", path):
            try:
                handle = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return False
            try:
                return not attempt(handle, fcntl.LOCK_SH)
            finally:
                os.close(handle)


def sweep_runs(root: Path) -> int:
    """Remove the lock files of runs whose process was killed; returns how many."""
    removed = 0
    folder = root / "locks" / "runs"
    with storage_errors("clean up", folder):
        for path in list(folder.glob("*.lock")):
            handle = os.open(path, os.O_RDONLY)
            try:
                if attempt(handle, fcntl.LOCK_EX) and is_at(handle, path):
                    path.unlink()
                    removed += 1
            finally:
                os.close(handle)
    return removed


def _run_path(root: Path, run_id: str) -> Path:
    if _RUN_ID.fullmatch(run_id) is None:
        raise StorageError(f"{run_id!r} is no run id: letters, digits, - and _ are allowed.")
    return root / "locks" / "runs" / f"{run_id}.lock"
