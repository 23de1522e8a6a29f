"""Stores that this process has opened, and the locks that its runs hold on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from aion_dagster.storage.run_lock import RunLock
from aion_dagster.storage.store import Store


@lru_cache(maxsize=64)
def open_store(uri: str, library: str) -> Store:
    """The store of a library, opened once per process."""
    return Store.open(uri, library=library)


class _Holds:
    """How many resources of a run hold its locks; the first takes them, the last releases them."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[tuple[Path, str], tuple[int, ExitStack]] = {}

    @contextmanager
    def hold(self, store: Store, run_id: str) -> Iterator[None]:
        key = (store.local, run_id)
        with self._guard:
            count, stack = self._held.get(key, (0, ExitStack()))
            if not count:
                # Before the wait for the store: a run that waits is alive, and is not to be reported as dead.
                stack.enter_context(RunLock(store.local, run_id))
                stack.enter_context(store.lock(exclusive=False, what=f"run {run_id}"))
            self._held[key] = (count + 1, stack)
        try:
            yield
        finally:
            with self._guard:
                count, stack = self._held[key]
                if count > 1:
                    self._held[key] = (count - 1, stack)
                else:
                    del self._held[key]
                    stack.close()


_HOLDS = _Holds()


@contextmanager
def hold_store(store: Store, run_id: str | None) -> Iterator[None]:
    """Hold the store for a run: shared with other runs, never beside a command that works on the store alone."""
    if run_id is None:
        yield
    else:
        with _HOLDS.hold(store, run_id):
            yield
