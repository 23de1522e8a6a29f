"""A store's lock in PostgreSQL: the same for all machines that work on a store, released with its connection."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aion_dagster.errors import StorageError
from aion_dagster.storage.ledger_database import is_postgres, postgres_url

_KEEPALIVE: Final = (
    ("tcp_keepalives_idle", 30),
    ("tcp_keepalives_interval", 10),
    ("tcp_keepalives_count", 3),
)
"""After about a minute without an answer the server gives up on a machine, and what it held is free."""

_HELD: Final[list[sa.Connection]] = []
"""Connections that hold a lock. A forked child keeps them here unused: closing its copy would end the parent's session."""


class HeldLock:
    """A lock that this process holds, for as long as its session lasts."""

    def __init__(self, connection: sa.Connection) -> None:
        """The session that took the lock."""
        self._connection = connection
        self._owner = os.getpid()
        _HELD.append(connection)

    def is_alive(self) -> bool:
        """Whether the session is still there: a server that restarts ends it."""
        try:
            self._connection.scalar(sa.text("SELECT 1"))
        except SQLAlchemyError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the lock back; a forked child cannot, and a second call does nothing."""
        if os.getpid() == self._owner and self._connection in _HELD:
            _HELD.remove(self._connection)
            with suppress(SQLAlchemyError):
                self._connection.close()


class AdvisoryLock:
    """One advisory lock of a server; each holder has a session of its own."""

    def __init__(self, url: str | sa.URL, name: str) -> None:
        """The lock that stands for `name`."""
        self._url = sa.make_url(url)
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)

    def attempt(self, *, exclusive: bool, what: str) -> HeldLock | None:
        """Take the lock if nobody holds it (exclusively); None where somebody does.

        Raises:
            StorageError: the server cannot be used.
        """
        try:
            connection = self._connect(what)
            kind = "pg_try_advisory_lock" if exclusive else "pg_try_advisory_lock_shared"
            if not connection.scalar(sa.text(f"SELECT {kind}(:key)"), {"key": self._key}):
                connection.close()
                return None
        except SQLAlchemyError as error:
            where = self._url.render_as_string(hide_password=True)
            raise StorageError(
                f"The lock of the store cannot be taken at {where}: {getattr(error, 'orig', error)}"
            ) from error
        return HeldLock(connection)

    def holders(self) -> list[str]:
        """What those who hold the lock do, as far as they said so."""
        question = sa.text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"
        )
        try:
            with self._connect("a look at a lock") as connection:
                return [str(row[0]) for row in connection.execute(question, {"key": self._key})]
        except SQLAlchemyError:
            return []

    def _connect(self, what: str) -> sa.Connection:
        engine = sa.create_engine(
            self._url,
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "application_name": f"{what} (pid {os.getpid()} on {os.uname().nodename})"[:63]
            },
        )
        connection = engine.connect()
        for name, value in _KEEPALIVE:
            connection.execute(sa.text(f"SET {name} = {value}"))
        return connection


def advisory_lock(url: str | None, name: str) -> AdvisoryLock | None:
    """The lock of a ledger on PostgreSQL; None for other ledgers, whose stores have one machine."""
    if url is None or not is_postgres(url):
        return None
    return AdvisoryLock(postgres_url(url), name)
