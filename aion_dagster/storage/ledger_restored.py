"""A ledger that is made anew beside the one in use, from what the store tells, and takes its place at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from aion_dagster.storage.call_records import CallKey, Settlement
from aion_dagster.storage.durable import fsync_folder, replace_file, storage_errors
from aion_dagster.storage.ledger import Ledger
from aion_dagster.storage.ledger_database import Database, chunks, postgres_url
from aion_dagster.storage.ledger_erasure import FORGOTTEN
from aion_dagster.storage.ledger_files import file_key
from aion_dagster.storage.ledger_results import insert_for
from aion_dagster.storage.ledger_schema import BUSY_SECONDS
from aion_dagster.storage.ledger_tables import (
    BATCHES,
    BUDGETS,
    BUILDS,
    CALL_SUMS,
    CALLS,
    COUNTERS,
    METADATA,
    PACE_SLOTS,
    PACES,
    RETIRED,
    TOMBSTONES,
    UtcDateTime,
)

CARRIED: Final = (CALLS, CALL_SUMS, BUDGETS, FORGOTTEN, PACES, PACE_SLOTS)
"""What no file of a store tells: taken from the old ledger as far as that can still be read."""

_BESIDE: Final = "ledger.sqlite.rebuilt"


class RestoredBuild(NamedTuple):
    """A build that the footer of a file tells of."""

    asset: str
    partition: str
    fingerprint: str
    rows: int
    info: Mapping[str, Any]
    built_at: datetime


class RestoredLedger(Ledger):
    """A ledger that is being filled; nobody else knows of it."""

    def note_times(self, key: str, *, written: datetime, started: bool) -> None:
        """A batch was recorded when its manifest was written; `started` where it has tables."""
        self._update_batch(key, created_at=written, started_at=written if started else None)

    def note_deleted(self, moments: Mapping[tuple[str, str], datetime]) -> None:
        """When files (source, URI) that are deleted here were found to be gone."""
        with self._database.write() as connection:
            for (source, uri), moment in moments.items():
                this = TOMBSTONES.c.file_key == file_key(source, uri)
                connection.execute(TOMBSTONES.update().where(this).values(deleted_at=moment))

    def note_revision(self, revision: int) -> None:
        """What `revision` is to give."""
        with self._database.write() as connection:
            statement: Any = insert_for(connection)(COUNTERS)
            statement = statement.values(name="presence", value=revision)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"], set_={"value": statement.excluded.value}
                )
            )

    def note_retired(self, merged: Mapping[str, str], moment: datetime) -> None:
        """Batches that were merged into others, directly or over others that are no more."""
        rows = [{"key": k, "merged_into": into, "retired_at": moment} for k, into in merged.items()]
        if rows:
            with self._database.write() as connection:
                connection.execute(RETIRED.insert(), rows)

    def note_builds(self, builds: Iterable[RestoredBuild]) -> int:
        """What was built; how many."""
        rows = [{**b._asdict(), "info": orjson.dumps(dict(b.info)).decode()} for b in builds]
        if rows:
            with self._database.write() as connection:
                connection.execute(BUILDS.insert(), rows)
        return len(rows)

    def note_calls(self, answered: Iterable[tuple[CallKey, Settlement, datetime]]) -> int:
        """Paid calls whose answers stand in tables, so that none of them is made again; how many were not known."""
        added = 0
        with self._database.write() as connection:
            statement = insert_for(connection)(CALLS).on_conflict_do_nothing()
            for some in chunks(answered):
                rows = [_call(*one) for one in some]
                before = connection.scalar(sa.select(sa.func.count()).select_from(CALLS)) or 0
                connection.execute(statement, rows)
                after = connection.scalar(sa.select(sa.func.count()).select_from(CALLS)) or 0
                added += after - before
        return added

    def carry_over(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of an old ledger; of columns that it has and this one has not nothing is kept."""
        if rows:
            names = set(table.c.keys())
            kept = [{n: v for n, v in row.items() if n in names} for row in rows]
            with self._database.write() as connection:
                connection.execute(insert_for(connection)(table).on_conflict_do_nothing(), kept)

    def known_batches(self) -> set[str]:
        """Keys of all batches."""
        with self._database.read() as connection:
            return set(connection.scalars(sa.select(BATCHES.c.key)))


class Exchange(NamedTuple):
    """A new ledger, how it takes the place of the old one (which returns where that is kept), and what was carried over."""

    ledger: RestoredLedger
    put_in_place: Any
    carried: int


@contextmanager
def exchange_file(place: Path) -> Iterator[Exchange]:
    """A new SQLite ledger for one at `place`, which may be damaged or missing."""
    beside = place.with_name(_BESIDE)
    _remove(beside)
    try:
        with _copied(place) as old, RestoredLedger.at(beside) as ledger:
            carried = sum(_carry_over(ledger, old, table) for table in CARRIED) if old else 0
            yield Exchange(ledger, lambda: _replace(place, beside, ledger), carried)
    finally:
        _remove(beside)


@contextmanager
def exchange_schema(url: str, library: str) -> Iterator[Exchange]:
    """A new ledger for one on PostgreSQL: made in a schema of its own, and moved in one transaction."""
    name = f"rebuild_of_{library}"
    own = None if library == "default" else f"aion_{library}"
    engine = sa.create_engine(postgres_url(url), poolclass=sa.NullPool)
    drop = sa.schema.DropSchema(f"aion_{name}", cascade=True, if_exists=True)
    with engine.begin() as connection:
        connection.execute(drop)
    _mend(engine, own)
    Database(url, schema=own).close()
    try:
        with RestoredLedger(url, library=name) as ledger:
            yield Exchange(ledger, lambda: _move(engine, f"aion_{name}", own), 0)
    finally:
        with engine.begin() as connection:
            connection.execute(drop)
        engine.dispose()


def _call(key: CallKey, answer: Settlement, moment: datetime) -> dict[str, Any]:
    return {
        "call_key": key.digest,
        "sha256": key.sha256,
        "operation": key.operation,
        "parameters": key.parameters,
        "engine": key.engine,
        "state": "settled",
        "owner": "rebuild",
        "run": "rebuild",
        "day": moment.astimezone(UTC).date().isoformat(),
        "units": 0,
        "held": 0,
        "remote_id": answer.remote_id,
        "payload": zlib.compress(orjson.dumps(dict(answer.payload or {})), 6),
        "credits": answer.credits,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "milliseconds": answer.milliseconds,
        "updated_at": moment,
    }


@contextmanager
def _copied(place: Path) -> Iterator[Path | None]:
    """A copy of an SQLite file and its journal to read from: reading a damaged one may change it."""
    copy = place.with_name(f"{place.name}.read")
    _remove(copy)
    try:
        if place.is_file():
            with storage_errors("copy", place):
                _copy(place, copy)
        yield copy if copy.is_file() else None
    finally:
        _remove(copy)


def _carry_over(ledger: RestoredLedger, old: Path, table: sa.Table) -> int:
    """Rows of a table of an SQLite file, up to where it cannot be read any more."""
    rows: list[dict[str, Any]] = []
    columns = {column.name: column for column in table.c}
    with suppress(sqlite3.Error), closing(sqlite3.connect(old, timeout=BUSY_SECONDS)) as source:
        source.row_factory = sqlite3.Row
        for row in source.execute(f"SELECT * FROM {table.name}"):  # noqa: S608 - one of our tables
            rows.append(  # noqa: PERF401 - what was read before an error counts
                {name: _value(columns.get(name), row[name]) for name in row.keys()}  # noqa: SIM118 - a row iterates over its values
            )
    ledger.carry_over(table, rows)
    return len(rows)


def _value(column: sa.Column[Any] | None, value: Any) -> Any:
    if column is None or value is None:
        return value
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return bool(value) if isinstance(column.type, sa.Boolean) else value


def _replace(place: Path, beside: Path, ledger: RestoredLedger) -> Path | None:
    """Put the new file at `place`; where the old one is kept."""
    ledger.close()
    with closing(sqlite3.connect(beside, timeout=BUSY_SECONDS)) as made:
        made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = None
    with storage_errors("replace", place):
        if place.is_file():
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            kept = place.with_name(f"{place.name}.replaced-{moment}")
            _copy(place, kept)
        # A journal that outlives its database would be taken for the new one's.
        for journal in _journals(place):
            journal.unlink(missing_ok=True)
        fsync_folder(place.parent)
        replace_file(beside, place)
    return kept


def _copy(place: Path, to: Path) -> None:
    for source, target in zip((place, *_journals(place)), (to, *_journals(to)), strict=True):
        if source.is_file() and not source.name.endswith("-shm"):
            shutil.copyfile(source, target)
            with target.open("rb") as written:
                os.fsync(written.fileno())


def _remove(file: Path) -> None:
    for one in (file, *_journals(file)):
        one.unlink(missing_ok=True)


def _journals(file: Path) -> tuple[Path, Path]:
    return file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


def _mend(engine: sa.Engine, schema: str | None) -> None:
    """Make tables that a ledger has lost."""
    names = engine.execution_options(schema_translate_map={None: schema} if schema else {})
    with names.begin() as connection:
        if sa.inspect(connection).has_table(BATCHES.name, schema=schema) or schema is None:
            if schema is not None:
                connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
            if sa.inspect(connection).has_table("alembic_version", schema=schema):
                METADATA.create_all(connection)


def _move(engine: sa.Engine, made: str, schema: str | None) -> None:
    """Rows of the schema `made` in place of those in use, but for what no file tells; in one transaction."""
    quoted = engine.dialect.identifier_preparer.quote
    here = f"{quoted(schema)}." if schema else ""
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            if table not in CARRIED:
                connection.exec_driver_sql(f"DELETE FROM {here}{table.name}")  # noqa: S608 - our names
        for table in METADATA.sorted_tables:
            columns = ", ".join(quoted(c.name) for c in table.c)
            if table is CALLS:  # numbered anew: those that stay have numbers of their own
                columns = ", ".join(quoted(c.name) for c in table.c if c.name != "id")
            connection.exec_driver_sql(
                f"INSERT INTO {here}{table.name} ({columns}) SELECT {columns}"  # noqa: S608 - our names
                f" FROM {quoted(made)}.{table.name} ON CONFLICT DO NOTHING"
            )
            number = table.autoincrement_column
            if number is not None and table is not CALLS:
                name = f"{here}{table.name}".replace("'", "''")
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{name}', '{number.name}'),"  # noqa: S608 - our names
                    f" COALESCE((SELECT max({quoted(number.name)}) FROM {here}{table.name}), 0) + 1, false)"
                )
