"""Dagster's storages with connections that are kept, for a process that writes many events.

Stock storages connect anew for every statement. On SQLite each one opens the file, compiles its SQL and checkpoints the log anew:
two thirds of the time that bookkeeping takes; on PostgreSQL a server process is started for each. And they look at the
database's schema again for every event of an asset, and for its partition several times. The databases are the same either way,
and other processes may use them with the stock classes at the same time.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakSet

import dagster as dg
import sqlalchemy as sa

from aion_dagster.resources.fresh_databases import unsynced

_OPEN_DATABASES = 4
"""Databases kept open: the index, and those of the runs at work."""
_BUSY_SECONDS = 60
_INDEX = "index"
"""Name of the database that all runs share."""

Connect = Callable[..., AbstractContextManager[sa.Connection]]


@contextmanager
def kept_connections(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep an instance's connections open until the block ends, or an outer one; other kinds of storage are left alone."""
    storage: Any = instance.event_log_storage
    if storage in _KEPT:
        yield
        return
    _KEPT.add(storage)
    with ExitStack() as stack:
        stack.callback(_KEPT.discard, storage)
        for kind in (_keep_sqlite, _keep_postgres):
            kind(instance, stack)
        yield


_KEPT: WeakSet[Any] = WeakSet()
"""Storages of events whose connections are kept now."""


def _keep_sqlite(instance: dg.DagsterInstance, stack: ExitStack) -> None:
    """Keep the connections of the stock storages for SQLite."""
    engines = _Engines()
    stack.callback(engines.close)
    events, runs = instance.event_log_storage, instance.run_storage
    parts = ("_connect", "_db_lock", "_initialized_dbs", "path_for_shard")
    if _is(events, "SqliteEventLogStorage", *parts):
        stack.enter_context(_replaced(events, "_connect", _event_connect(events, engines)))
        _ask_once(events, stack)
    if _is(runs, "SqliteRunStorage", "connect", "_conn_string"):
        stack.enter_context(_replaced(runs, "connect", _run_connect(runs, engines)))


def _keep_postgres(instance: dg.DagsterInstance, stack: ExitStack) -> None:
    """Keep the connections of dagster-postgres' storages, which use whatever engine they have."""
    events: Any = instance.event_log_storage
    runs: Any = instance.run_storage
    for storage, name in ((events, "PostgresEventLogStorage"), (runs, "PostgresRunStorage")):
        # Where passwords are tokens, the stock engine gets them when it connects.
        if not _is(storage, name, "_engine") or getattr(storage, "_token_provider", None):
            continue
        stock: sa.Engine = storage._engine
        # The first statement after a restart of the server finds that out before anything is lost.
        kept = sa.create_engine(
            stock.url, isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True
        )
        stack.callback(kept.dispose)
        stack.callback(setattr, storage, "_engine", stock)
        storage._engine = kept
        if storage is events:
            _ask_once(events, stack)


def _ask_once(events: Any, stack: ExitStack) -> None:
    """Have the storage of events look once at what stays as it is."""
    for name in ("has_table", "_has_asset_key_col_on_connection"):
        if hasattr(events, name):
            once = _once(getattr(events, name), lambda arguments: arguments[-1:])
            stack.enter_context(_replaced(events, name, once))
    if hasattr(events, "has_dynamic_partition"):
        once = _once(events.has_dynamic_partition, lambda arguments: arguments)
        stack.enter_context(_replaced(events, "has_dynamic_partition", once))


def _is(storage: Any, name: str, *attributes: str) -> bool:
    """Whether a storage is the stock class with the parts that are built on here (Dagster 1.13)."""
    return type(storage).__name__ == name and all(hasattr(storage, a) for a in attributes)


@contextmanager
def _replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Shadow a method of one object."""
    setattr(target, name, value)
    try:
        yield
    finally:
        delattr(target, name)


class _Engines:
    """Engines by database, the ones used last."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, sa.Engine] = OrderedDict()

    def at(self, url: str) -> sa.Engine:
        if url not in self._open:
            engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
            sa.event.listen(engine, "connect", _no_sync_per_commit)
            self._open[url] = engine
        self._open.move_to_end(url)
        while len(self._open) > _OPEN_DATABASES:
            self._open.popitem(last=False)[1].dispose()
        return self._open[url]

    def close(self) -> None:
        # Each waits for the disk once more, when its log goes into its database: side by side they wait together.
        with ThreadPoolExecutor(_OPEN_DATABASES) as pool:
            list(pool.map(sa.Engine.dispose, self._open.values()))
        self._open.clear()


def _no_sync_per_commit(connection: Any, _record: Any) -> None:
    """In WAL mode a killed process loses nothing by this, and a power cut at most the last events, no consistency."""
    connection.execute("PRAGMA synchronous=NORMAL")


class _EmptyDatabase:
    """The database of a run without events, as the stock class makes it; a copy saves reading every migration again."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._stock: Connect = storage._connect
        self._content: bytes | None = None

    def create(self, shard: str) -> None:
        """Make the database of a run (or the index) if there is none."""
        path = Path(self._storage.path_for_shard(shard))
        if self._content is None or path.exists():
            fresh = not path.exists() and shard != _INDEX
            # As little is lost with the file of a run that has just begun as with the copies that are made of it.
            with unsynced(path) if fresh else nullcontext(), self._stock(shard):
                pass
            if fresh:
                with closing(sqlite3.connect(path)) as connection:
                    self._content = connection.serialize()
        else:
            beside = path.with_suffix(f".{os.getpid()}")
            beside.write_bytes(self._content)
            beside.rename(path)
            self._storage._initialized_dbs.add(shard)


def _event_connect(storage: Any, engines: _Engines) -> Connect:
    empty = _EmptyDatabase(storage)

    @contextmanager
    def connect(shard: str) -> Iterator[sa.Connection]:
        if shard not in storage._initialized_dbs:
            empty.create(shard)
        with (
            storage._db_lock,
            engines.at(storage.conn_string_for_shard(shard)).connect() as connection,
            connection.begin(),
        ):
            yield connection

    return connect


def _once(
    stock: Callable[..., bool], subject: Callable[[tuple[Any, ...]], tuple[Any, ...]]
) -> Callable[..., bool]:
    """A question that is not asked again when the answer was yes: nobody takes away what it is about meanwhile.

    `subject` picks what it is about from its arguments: the name of a table or column, a partition.
    """
    there: set[tuple[Any, ...]] = set()

    def is_there(*arguments: Any) -> bool:
        about = subject(arguments)
        if about not in there and stock(*arguments):
            there.add(about)
        return about in there

    return is_there


def _run_connect(storage: Any, engines: _Engines) -> Connect:
    @contextmanager
    def connect() -> Iterator[sa.Connection]:
        with engines.at(storage._conn_string).connect() as connection, connection.begin():
            yield connection

    return connect
