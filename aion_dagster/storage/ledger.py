"""The ledger: which file versions are known and in which batch, what has been computed, what has been built."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aion_dagster.errors import StorageError
from aion_dagster.storage.call_records import Cap, Spent
from aion_dagster.storage.ledger_budgets import calls_of_run
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database, chunks, now
from aion_dagster.storage.ledger_paces import SharedPace
from aion_dagster.storage.ledger_records import (
    BatchRecord,
    BatchStatus,
    Counts,
    CurrentVersion,
    OverlapError,
)
from aion_dagster.storage.ledger_results import ResultLedger
from aion_dagster.storage.ledger_spending import spending
from aion_dagster.storage.ledger_tables import BATCHES, BUILDS, FILES, RESULTS
from aion_dagster.values import FileRef


class Ledger(ResultLedger):
    """A small database beside the store, or a server by URL; every write is one transaction.

    Safe for several threads and processes. Every method raises StorageError where the database cannot be used.
    """

    def __init__(self, url: str | sa.URL) -> None:
        """Open the ledger at an SQLAlchemy URL."""
        super().__init__(Database(url))

    @classmethod
    def at(cls, path: Path) -> Self:
        """The ledger in an SQLite file, created where it is missing."""
        return cls(sa.URL.create("sqlite", database=str(path)))

    def paid_calls(self, run: str, caps: Sequence[Cap] = ()) -> PaidCalls:
        """The journal in which this process notes the paid calls of `run`, within `caps`."""
        return PaidCalls(self._database, run=run, caps=caps)

    def pace(self, name: str, requests_per_minute: int) -> SharedPace:
        """The pace of an account, shared by all processes of this ledger."""
        return SharedPace(self._database, name, requests_per_minute)

    def spending(self, *, since: str | None = None, until: str | None = None) -> list[Spent]:
        """What paid calls cost, by day, operation and engine; days as `2026-01-31`."""
        return spending(self._database, since=since, until=until)

    def calls_of_run(self, run: str) -> int:
        """How many paid calls a run made."""
        with self._database.read() as connection:
            return calls_of_run(connection, run)

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        self._database.close()

    def __enter__(self) -> Self:
        """The ledger itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def known_versions(self, source: str, uris: Sequence[str]) -> dict[str, set[str]]:
        """Which versions of these files are in some batch; files without any are left out."""
        found: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for chunk in chunks(_file_key(source, uri) for uri in uris):
                query = sa.select(FILES.c.uri, FILES.c.version).where(FILES.c.file_key.in_(chunk))
                for uri, version in connection.execute(query):
                    found.setdefault(uri, set()).add(version)
        return found

    def record_batch(self, batch: BatchRecord, files: Sequence[FileRef]) -> bool:
        """Record a batch and its files, which become the current versions; in one transaction.

        Returns:
            False where the batch is known already; nothing is changed then.

        Raises:
            OverlapError: some of the files are in another batch; nothing is changed.
        """
        rows = [_file_row(file) for file in files]
        try:
            with self._database.write() as connection:
                if _batch_seq(connection, batch.key) is not None:
                    return False
                _refuse_overlap(connection, batch.key, rows)
                _insert_batch(connection, batch, rows)
        except StorageError as error:
            if isinstance(
                error.__cause__, IntegrityError
            ):  # PostgreSQL: another writer committed meanwhile
                raise OverlapError(f"Batch {batch.key!r} cannot be recorded: {error}") from error
            raise
        return True

    def mark_current(self, files: Sequence[FileRef]) -> int:
        """Say that these known versions are what the source holds now (an old version came back).

        Returns:
            How many files changed their current version.
        """
        changed = 0
        with self._database.write() as connection:
            for file in files:
                key = _file_key(file.source, file.uri)
                this = (FILES.c.file_key == key) & (FILES.c.version == file.version)
                if connection.scalar(sa.select(FILES.c.is_current).where(this)) is False:
                    _outdate(connection, [key])
                    connection.execute(FILES.update().where(this).values(is_current=True))
                    changed += 1
        return changed

    def batch(self, key: str) -> BatchRecord | None:
        """One batch; None where it is unknown."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(BATCHES).where(BATCHES.c.key == key)).one_or_none()
        return None if row is None else BatchRecord(**row._mapping)

    def batches(
        self, status: BatchStatus | None = None, *, source: str | None = None
    ) -> list[BatchRecord]:
        """Batches in the order in which they were recorded.

        Args:
            status: waiting (no run has started), started (and not finished), finished, blocked (whatever else);
                None for all.
            source: of this source only.
        """
        query = sa.select(BATCHES).order_by(BATCHES.c.seq)
        if status is not None:
            query = query.where(_HAS_STATUS[status])
        if source is not None:
            query = query.where(BATCHES.c.source == source)
        with self._database.read() as connection:
            return [BatchRecord(**row._mapping) for row in connection.execute(query)]

    def mark_started(self, key: str) -> None:
        """A run works on the batch; the first start stays."""
        self._update_batch(key, started_at=sa.func.coalesce(BATCHES.c.started_at, now()))

    def mark_finished(self, key: str) -> None:
        """A run of the batch has come to its end; the last one counts."""
        self._update_batch(key, finished_at=now())

    def mark_blocked(self, key: str, reason: str | None) -> None:
        """Keep the batch out of the library because of `reason`; None lets it in again."""
        self._update_batch(key, blocked_reason=reason)

    def uris_with_name(self, basenames: Collection[str]) -> dict[str, list[tuple[str, str, str]]]:
        """Every file (source, uri, name) with one of these base names, in any batch, version and letter case.

        Names are compared folded (`fold_name`), so that labels written on another system find their pictures.

        Returns:
            As keyed by the names given; those that no file has are left out. Lists are sorted.
        """
        asked: dict[str, list[str]] = {}
        for basename in basenames:
            asked.setdefault(fold_name(basename), []).append(basename)
        found: dict[str, list[tuple[str, str, str]]] = {}
        columns = (FILES.c.basename, FILES.c.source, FILES.c.uri, FILES.c.name)
        with self._database.read() as connection:
            for chunk in chunks(asked):
                query = sa.select(*columns).where(FILES.c.basename.in_(chunk)).distinct()
                for folded, source, uri, name in connection.execute(query):
                    for basename in asked[folded]:
                        found.setdefault(basename, []).append((source, uri, name))
        return {basename: sorted(files) for basename, files in found.items()}

    def current_versions(self, *, source: str | None = None) -> Iterator[CurrentVersion]:
        """The version seen last of every file, in the order of recording; rows of other versions are superseded."""
        query = (
            sa.select(FILES.c.source, FILES.c.uri, FILES.c.version, BATCHES.c.key, BATCHES.c.seq)
            .join(BATCHES, BATCHES.c.seq == FILES.c.batch_seq)
            .where(FILES.c.is_current)
            .order_by(FILES.c.id)
        )
        if source is not None:
            query = query.where(FILES.c.source == source)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=10_000).execute(query):
                yield CurrentVersion(*row)

    def counts(self) -> Counts:
        """How many entries there are of each kind."""
        parts = [
            sa.select(sa.func.count()).select_from(BATCHES).scalar_subquery(),
            *(
                sa.select(sa.func.count())
                .select_from(BATCHES)
                .where(_HAS_STATUS[status])
                .scalar_subquery()
                for status in ("waiting", "finished", "blocked")
            ),
            *(
                sa.select(sa.func.count()).select_from(table).scalar_subquery()
                for table in (FILES, RESULTS, BUILDS)
            ),
        ]
        with self._database.read() as connection:
            return Counts(*connection.execute(sa.select(*parts)).one())

    def _update_batch(self, key: str, **values: Any) -> None:
        with self._database.write() as connection:
            done = connection.execute(BATCHES.update().where(BATCHES.c.key == key).values(values))
            if done.rowcount == 0:
                raise StorageError(f"The ledger {self._database.where} knows no batch {key!r}.")


_HAS_STATUS = {
    "waiting": BATCHES.c.started_at.is_(None),
    "started": BATCHES.c.started_at.is_not(None) & BATCHES.c.finished_at.is_(None),
    "finished": BATCHES.c.finished_at.is_not(None),
    "blocked": BATCHES.c.blocked_reason.is_not(None),
}


def fold_name(name: str) -> str:
    """A base name without regard to letter case and to how accents are composed (macOS decomposes them)."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    # File systems allow 255 bytes; elsewhere a name may be longer than an index entry of PostgreSQL.
    return folded[:500]


def _insert_batch(
    connection: sa.Connection, batch: BatchRecord, rows: Sequence[dict[str, Any]]
) -> None:
    """The batch and its files, which become current; of two versions of one file the later one."""
    connection.execute(
        BATCHES.insert().values(
            key=batch.key,
            source=batch.source,
            manifest_digest=batch.manifest_digest,
            file_count=batch.file_count,
            size_bytes=batch.size_bytes,
            created_at=now(),
        )
    )
    seq = _batch_seq(connection, batch.key)
    last = {row["file_key"]: row["version"] for row in rows}
    _outdate(connection, last)
    if rows:
        connection.execute(
            FILES.insert(),
            [
                row | {"batch_seq": seq, "is_current": last[row["file_key"]] == row["version"]}
                for row in rows
            ],
        )


def _refuse_overlap(connection: sa.Connection, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
    versions = {(row["file_key"], row["version"]) for row in rows}
    for chunk in chunks({row["file_key"] for row in rows}):
        query = sa.select(FILES.c.file_key, FILES.c.version, FILES.c.uri)
        for file_key, version, uri in connection.execute(query.where(FILES.c.file_key.in_(chunk))):
            if (file_key, version) in versions:
                raise OverlapError(f"Batch {key!r} cannot be recorded: {uri} is in another batch.")


def _file_row(file: FileRef) -> dict[str, Any]:
    return {
        "file_key": _file_key(file.source, file.uri),
        "version": file.version,
        "source": file.source,
        "uri": file.uri,
        "name": file.name,
        "basename": fold_name(file.name.rpartition("/")[2]),
    }


def _file_key(source: str, uri: str) -> bytes:
    return hashlib.blake2b(f"{source}\0{uri}".encode(), digest_size=16).digest()


def _outdate(connection: sa.Connection, file_keys: Collection[bytes]) -> None:
    for chunk in chunks(file_keys):
        connection.execute(
            FILES.update()
            .where(FILES.c.file_key.in_(chunk), FILES.c.is_current)
            .values(is_current=False)
        )


def _batch_seq(connection: sa.Connection, key: str) -> int | None:
    return connection.scalar(sa.select(BATCHES.c.seq).where(BATCHES.c.key == key))
