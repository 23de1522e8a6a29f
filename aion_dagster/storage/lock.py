"""Locks of a store: who may work on it now. They die with their process (flock)."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from aion_dagster.errors import StoreLockedError
from aion_dagster.storage import process
from aion_dagster.storage.durable import is_writable, make_folder, storage_errors, write_file
from aion_dagster.storage.flock import attempt
from aion_dagster.storage.lock_postgres import AdvisoryLock
from aion_dagster.storage.run_lock import RunLock as RunLock
from aion_dagster.storage.run_lock import sweep_runs as sweep_runs

TOKEN_VARIABLE = "AION_STORE_LOCK"  # noqa: S105 - the name of a variable, not a secret
"""Environment variable by which the children of an exclusive holder work under its lock; `:` between tokens."""

_TOKENS = threading.Lock()
_LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class StoreLock:
    """A held lock of a store; `inherited` where an enclosing exclusive holder covers it."""

    root: Path
    is_exclusive: bool
    inherited: bool = False

    @classmethod
    @contextmanager
    def exclusive(
        cls,
        root: Path,
        *,
        wait: bool | float = True,
        on_wait: Callable[[str], None] | None = None,
        what: str = "",
        remote: AdvisoryLock | None = None,
    ) -> Iterator[StoreLock]:
        """Work alone on the store: nobody else holds the lock, exclusive or shared.

        While it is held, this process and the children it starts (they inherit `AION_STORE_LOCK`) may take the lock
        again, in both ways: they work under this one, and should end before it does.

        Args:
            root: the store's folder.
            wait: False fails at once, True waits as long as it takes, a number waits so many seconds.
            on_wait: called once, with a sentence about who works on the store, before waiting.
            what: what this process does, for others who wait.
            remote: the lock that other machines know too; it is taken after that of this machine.

        Raises:
            StoreLockedError: somebody else works on the store.
            StorageError: the file system has no locks, or the folder cannot be written.
        """
        with _store_lock(root, True, wait, on_wait, what, remote) as inherited:
            yield cls(root, True, inherited)

    @classmethod
    @contextmanager
    def shared(
        cls,
        root: Path,
        *,
        wait: bool | float = True,
        on_wait: Callable[[str], None] | None = None,
        what: str = "",
        remote: AdvisoryLock | None = None,
    ) -> Iterator[StoreLock]:
        """Work on the store beside others who share it; keeps exclusive holders out. Arguments as `exclusive`."""
        with _store_lock(root, False, wait, on_wait, what, remote) as inherited:
            yield cls(root, False, inherited)


def lock_path(root: Path) -> Path:
    """The file whose lock is the store's; it stays for ever, readers of a read-only store cannot create it."""
    return root / "locks" / "store.lock"


@contextmanager
def _store_lock(
    root: Path,
    exclusive: bool,
    wait: bool | float,
    on_wait: Callable[[str], None] | None,
    what: str,
    remote: AdvisoryLock | None,
) -> Iterator[bool]:
    """Hold the lock; yields True where the enclosing holder's lock covers it."""
    if _is_covered(root):
        yield True
        return
    limit = _Limit(wait, on_wait)
    handle = _acquire(root, exclusive, limit)
    try:
        release = _acquire_remote(root, remote, exclusive, limit, what) if remote else _nothing
    except BaseException:
        os.close(handle)
        raise
    owner, token = os.getpid(), secrets.token_hex(16)
    card = _holders(root) / f"{token}.json"
    try:
        _leave_card(root, card, exclusive, what)
        if exclusive:
            _pass_on(token)
        yield False
    finally:
        # A forked child that unwinds this frame must not release what its parent holds.
        if os.getpid() == owner:
            if exclusive:
                _pass_on_no_more(token)
            card.unlink(missing_ok=True)
            release()
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


class _Limit:
    """How long to wait, and whether it was said."""

    def __init__(self, wait: bool | float, on_wait: Callable[[str], None] | None) -> None:
        # `True` is an int too, and would be one second.
        self._end = None if wait is True else time.monotonic() + float(wait)
        self._on_wait = on_wait
        self._pause = 0.01

    def pause(self, root: Path, who: Callable[[], str]) -> None:
        """Wait a little.

        Raises:
            StoreLockedError: it has been long enough.
        """
        if self._end is not None and time.monotonic() >= self._end:
            raise StoreLockedError(
                f"The store {root} is in use by {who()}. Try again when it is done."
            )
        if self._on_wait is not None:
            self._on_wait(f"Waiting: the store {root} is in use by {who()}.")
            self._on_wait = None
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


def _acquire(root: Path, exclusive: bool, limit: _Limit) -> int:
    handle = _open_lock_file(root, exclusive)
    try:
        with storage_errors("lock the store", root):
            while not attempt(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH):
                limit.pause(root, lambda: _who(root))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _acquire_remote(
    root: Path, remote: AdvisoryLock, exclusive: bool, limit: _Limit, what: str
) -> Callable[[], None]:
    while (held := remote.attempt(exclusive=exclusive, what=what)) is None:
        limit.pause(root, lambda: "; ".join(remote.holders()) or "another machine")
    return held.release


def _nothing() -> None:
    """Nothing is to be released."""


def _open_lock_file(root: Path, exclusive: bool) -> int:
    path = lock_path(root)
    with storage_errors("lock the store", root):
        if not exclusive and path.exists() and not is_writable(path):
            return os.open(path, os.O_RDONLY)  # readers of a read-only store
        make_folder(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _leave_card(root: Path, card: Path, exclusive: bool, what: str) -> None:
    """Say who holds the lock; the holder of an exclusive one clears away the cards of the dead."""
    if not exclusive and not is_writable(root / "locks"):
        return
    make_folder(card.parent)
    if exclusive:
        for stale in list(card.parent.glob("*.json")):
            stale.unlink(missing_ok=True)
    facts = {
        "process": process.identity(),
        "host": socket.gethostname(),
        "what": what,
        "exclusive": exclusive,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_file(card, orjson.dumps(facts))


def _is_covered(root: Path) -> bool:
    """True where this process or one that it descends from holds the store exclusively, and lives."""
    for token in _tokens():
        if re.fullmatch("[0-9a-f]{32}", token) is None:
            continue
        card = _read_card(_holders(root) / f"{token}.json")
        if card is not None and card["exclusive"] and process.is_alive(card["process"]):
            return True
    return False


def _who(root: Path) -> str:
    cards = [_read_card(path) for path in sorted(_holders(root).glob("*.json"))]
    living = [
        f"{card['what'] or 'a process'} (pid {card['process'].partition('-')[0]} on {card['host']},"
        f" since {card['since']})"
        for card in cards
        if card is not None
        and (card["host"] != socket.gethostname() or process.is_alive(card["process"]))
    ]
    return "; ".join(living) or "another process"


def _read_card(path: Path) -> dict[str, Any] | None:
    """What a holder says of itself; None where it has gone meanwhile, or the store is no folder."""
    try:
        card: dict[str, Any] = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return card


def _holders(root: Path) -> Path:
    return root / "locks" / "holders"


def _pass_on(token: str) -> None:
    """Let processes that are begun from now on work under a lock."""
    with _TOKENS:
        os.environ[TOKEN_VARIABLE] = ":".join([*_tokens(), token])


def _pass_on_no_more(token: str) -> None:
    """Take one token away, and no other: locks of several threads do not end in the order in which they began."""
    with _TOKENS:
        left = [other for other in _tokens() if other != token]
        if left:
            os.environ[TOKEN_VARIABLE] = ":".join(left)
        else:
            os.environ.pop(TOKEN_VARIABLE, None)


def _tokens() -> list[str]:
    return [token for token in os.environ.get(TOKEN_VARIABLE, "").split(":") if token]
