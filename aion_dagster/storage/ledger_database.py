"""The ledger's database: engine and transactions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from aion_dagster.errors import StorageError
from aion_dagster.storage.ledger_schema import BUSY_SECONDS, bring_up_to_date
from aion_dagster.storage.write_ahead import write_ahead

T = TypeVar("T")

WRITES: Final = "aion_writes"
"""Execution option of connections that will write."""

SYNCED: Final = "aion_synced"
"""Execution option of connections whose transactions are on the disk when they are over."""

IN_LIST: Final = 500
"""Longest IN list: SQLite has a limit of variables (999 in old versions)."""


class Database:
    """Transactions on the ledger's tables; made where they are missing, migrated where they are older.

    Raises:
        StorageError: the database cannot be used, or a newer version of this package made it.
    """

    def __init__(self, url: str | sa.URL, *, schema: str | None = None) -> None:
        """Open the database at an SQLAlchemy URL; on PostgreSQL in `schema`, where that is not the default one."""
        self._url = postgres_url(url) if is_postgres(url) else sa.make_url(url)
        self.where = self._url.render_as_string(hide_password=True)
        with self._errors():
            self._engine = _open_engine(self._url, schema)
            bring_up_to_date(self._engine, self.where, schema)
        self._pid = os.getpid()

    def damage(self) -> str | None:
        """What an SQLite file's own check finds wrong with it; None where that is nothing, and on other databases."""
        if self._engine.dialect.name != "sqlite":
            return None
        with self.read() as connection:
            found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return None if found == "ok" else f"{self.where}: {found}"

    def close(self) -> None:
        """Close all connections; the next transaction opens new ones."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that reads: one state of the database."""
        self._leave_parent()
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, synced: bool = True) -> Iterator[sa.Connection]:
        """A transaction that writes: all of it or nothing; one writer at a time on SQLite.

        Without `synced`, SQLite leaves it to the operating system when the bytes reach the disk: the end of this
        process takes nothing back, a loss of power may, until the next transaction that is synced.
        """
        self._leave_parent()
        engine = self._engine.execution_options(**{WRITES: True, SYNCED: synced})
        with self._errors(), engine.begin() as connection:
            yield connection

    def _leave_parent(self) -> None:
        """In a forked child: leave the parent's connections to the parent, and open new ones."""
        if os.getpid() != self._pid:
            self._engine.dispose(close=False)
            self._pid = os.getpid()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            hint = ""
            is_place = isinstance(error, OperationalError)  # no room, no lock, no such folder
            if is_place and self._url.get_backend_name() == "sqlite":
                hint = (
                    " It needs free space on a local disk; on a network share use a PostgreSQL URL."
                )
            raise StorageError(
                f"The ledger {self.where} cannot be used: {reason}.{hint}"
            ) from error


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists that fit into an IN (…)."""
    remaining = iter(values)
    while chunk := list(islice(remaining, IN_LIST)):
        yield chunk


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def is_postgres(url: str | sa.URL) -> bool:
    """Whether a URL is that of a PostgreSQL server."""
    return sa.make_url(url).drivername.partition("+")[0] in ("postgresql", "postgres")


def postgres_url(url: str | sa.URL) -> sa.URL:
    """The URL with the driver that dagster-postgres installs, where it names none: SQLAlchemy 2.1 would take another."""
    made = sa.make_url(url)
    return made if "+" in made.drivername else made.set(drivername="postgresql+psycopg2")


def _open_engine(url: sa.URL, schema: str | None) -> sa.Engine:
    """An engine whose transactions are real ones; on SQLite in WAL mode, waiting for other writers up to a minute."""
    if url.get_backend_name() != "sqlite":
        names = {"schema_translate_map": {None: schema}} if schema else {}
        return sa.create_engine(url, pool_pre_ping=True, execution_options=names)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # Without this, Python's sqlite3 begins transactions itself, too late to keep two writers apart.
    connection.isolation_level = None
    cursor = connection.cursor()
    write_ahead(cursor, BUSY_SECONDS)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A reader that turns writer fails at once when another one wrote meanwhile; so writers say so at the start.
    options = connection.get_execution_options()
    writes = options.get(WRITES, False)
    if writes:
        level = "FULL" if options.get(SYNCED, True) else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
