"""Which schema a ledger has: a fresh one is made at once, an older one migrated, a newer one refused."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from aion_dagster.errors import StorageError
from aion_dagster.storage.durable import hidden_sibling, replace_file, storage_errors
from aion_dagster.storage.ledger_tables import BATCHES, HEAD, METADATA, REVISIONS, VERSION
from aion_dagster.storage.write_ahead import write_ahead

UNVERSIONED: Final = REVISIONS[0]
"""What ledgers have that were made before there were revisions."""

BUSY_SECONDS: Final = 60
_CREATION_LOCK: Final = 0x61696F6E
"""Key of the PostgreSQL advisory lock under which tables are made and migrated."""


def bring_up_to_date(engine: sa.Engine, where: str, schema: str | None) -> None:
    """Make or migrate what a ledger lacks; one that has today's schema is only looked at. Safe in several processes.

    Args:
        engine: of the ledger.
        where: how messages name it.
        schema: its schema, where that is not the default one of a PostgreSQL server.

    Raises:
        StorageError: the ledger was written by a newer version of this package.
    """
    with engine.connect() as connection:
        found = stored_revision(connection, schema)
    if found == HEAD:
        return
    _refuse_newer(found, where)
    other = _engine_for_changes(engine.url, schema)
    try:
        with other.begin() as connection:
            _lock(connection, schema)
            # Another process may have been faster.
            found = stored_revision(connection, schema)
            _refuse_newer(found, where)
            if found is None:
                _make(connection)
            elif found != HEAD:
                _migrate(connection, found)
    finally:
        other.dispose()


def stored_revision(connection: sa.Connection, schema: str | None) -> str | None:
    """The revision of a ledger's tables; None where there are none."""
    tables = sa.inspect(connection)
    if tables.has_table(VERSION.name, schema=schema):
        found: str | None = connection.scalar(sa.select(VERSION.c.version_num))
        if found is not None:
            return found
    return UNVERSIONED if tables.has_table(BATCHES.name, schema=schema) else None


def back_up(file: Path, name: str) -> Path:
    """Copy an SQLite ledger beside itself, as of its last transaction; where the copy is.

    Raises:
        StorageError: there is no room for it.
    """
    place = file.with_name(f"{file.name}.{name}")
    beside = hidden_sibling(place, "tmp")
    with storage_errors("copy the ledger to", place):
        try:
            with (
                closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as source,
                closing(sqlite3.connect(beside)) as copy,
            ):
                source.backup(copy)
            with beside.open("rb") as written:
                os.fsync(written.fileno())
            replace_file(beside, place)
        except sqlite3.Error as error:
            raise StorageError(f"Cannot copy the ledger to {place}: {error}.") from error
        finally:
            beside.unlink(missing_ok=True)
    return place


def _refuse_newer(found: str | None, where: str) -> None:
    if found is not None and found not in REVISIONS:
        raise StorageError(
            f"The ledger {where} has format {found}, this version knows {HEAD}: install a newer aion_dagster."
        )


def _engine_for_changes(url: sa.URL, schema: str | None) -> sa.Engine:
    """An engine whose transactions may change tables, with a connection that nobody uses afterwards."""
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        connect_args={"timeout": BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {},
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    elif schema is not None:
        # Unqualified names are those of this schema, also where Alembic looks for its own table.
        event.listen(engine, "connect", lambda c, _: _search_in(c, schema))
    return engine


def _prepare_sqlite(connection: Any, _entry: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    write_ahead(cursor, BUSY_SECONDS)
    cursor.execute("PRAGMA synchronous = FULL")
    # A table that is made anew under its old name must not take the rows that refer to it along.
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


def _search_in(connection: Any, schema: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('search_path', quote_ident(%s), false)", (schema,))
    connection.commit()


def _lock(connection: sa.Connection, schema: str | None) -> None:
    """Be the only one who changes tables, as is the rule on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
    if schema is not None:
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))


def _make(connection: sa.Connection) -> None:
    METADATA.create_all(connection)
    VERSION.create(connection)
    connection.execute(VERSION.insert().values(version_num=HEAD))


def _migrate(connection: sa.Connection, found: str) -> None:
    """Run what is between `found` and today, in the transaction of `connection`; SQLite's file is copied before."""
    from aion_dagster.storage.migrations import upgrade

    file = connection.engine.url.database
    if connection.dialect.name == "sqlite" and file:
        back_up(Path(file), f"{found}.backup")
    upgrade(connection, HEAD)
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise StorageError(
                f"The ledger {file} cannot be migrated: a row of table {broken[0]!r} refers to a row of {broken[2]!r}"
                " that is missing. Nothing was changed; make it anew: aion-dagster ledger rebuild --force"
            )
