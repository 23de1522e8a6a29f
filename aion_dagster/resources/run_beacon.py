"""A sign of life of a run in the instance's PostgreSQL: an advisory lock that its process holds, and loses with its life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from aion_dagster.errors import ConfigError, StorageError
from aion_dagster.storage.lock_postgres import AdvisoryLock

_LOOK_SECONDS: Final = 5.0
"""How often the holder looks whether its session is still there: a server that restarts ends it."""

_logger = logging.getLogger(__name__)


def run_lock(instance: dg.DagsterInstance, run_id: str) -> AdvisoryLock:
    """The lock that the process of a run holds.

    Raises:
        ConfigError: the instance does not keep its runs in PostgreSQL.
    """
    url = getattr(instance.run_storage, "postgres_url", None)
    if not isinstance(url, str):
        raise ConfigError(
            "This run launcher needs an instance on PostgreSQL: set 'storage: {postgres: …}' in dagster.yaml."
        )
    return AdvisoryLock(url, f"aion_dagster run {run_id}")


@contextmanager
def beacon(lock: AdvisoryLock, what: str) -> Iterator[None]:
    """Hold the lock while the block lasts; taken again where its session ends early."""
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lock, what, done), name="run-beacon", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _keep(lock: AdvisoryLock, what: str, done: threading.Event) -> None:
    held = None
    while True:
        try:
            if held is None or not held.is_alive():
                held = lock.attempt(exclusive=True, what=what)
        except StorageError as error:
            held = None
            _logger.warning("%s", error)
        if done.wait(_LOOK_SECONDS):
            break
    if held is not None:
        held.release()


def is_alive(lock: AdvisoryLock) -> bool:
    """Whether somebody holds the lock.

    Raises:
        StorageError: the server cannot be asked.
    """
    held = lock.attempt(exclusive=True, what="a look at a run")
    if held is None:
        return True
    held.release()
    return False
