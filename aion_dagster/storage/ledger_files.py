"""The part of the ledger that knows files: which versions are in which batch, which is current, which file is deleted."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aion_dagster.errors import StorageError
from aion_dagster.storage.ledger_database import chunks, now
from aion_dagster.storage.ledger_records import (
    BatchRecord,
    CurrentVersion,
    Deletion,
    KnownVersion,
    OverlapError,
)
from aion_dagster.storage.ledger_results import ResultLedger, insert_for
from aion_dagster.storage.ledger_tables import BATCHES, COUNTERS, FILES, TOMBSTONES
from aion_dagster.storage.seen_files import note_in_open_passes
from aion_dagster.values import FileRef

_PRESENCE: Final = "presence"


class FileLedger(ResultLedger):
    """File versions, each in one batch. A file has one current version, or none and a tombstone."""

    def known_versions(self, source: str, uris: Sequence[str]) -> dict[str, set[str]]:
        """Which versions of these files are in some batch; files without any are left out."""
        known = self.known_files(source, uris)
        return {uri: {version.version for version in versions} for uri, versions in known.items()}

    def known_files(self, source: str, uris: Iterable[str]) -> dict[str, list[KnownVersion]]:
        """The versions of these files that are in some batch; files without any are left out."""
        found: dict[str, list[KnownVersion]] = {}
        names = {file_key(source, uri): uri for uri in uris}
        columns = (FILES.c.file_key, FILES.c.id, FILES.c.version, FILES.c.is_current)
        with self._database.read() as connection:
            for chunk in chunks(names):
                query = sa.select(*columns).where(FILES.c.file_key.in_(chunk))
                for key, *version in connection.execute(query):
                    found.setdefault(names[bytes(key)], []).append(KnownVersion(*version))
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
                alone(connection, {batch.source, *(file.source for file in files)})
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
        """Say that these known versions are what the source holds now (an old version, or a deleted file, came back).

        Returns:
            How many files changed their current version.
        """
        wanted = {file_key(file.source, file.uri): file.version for file in files}
        changed = 0
        with self._database.write() as connection:
            alone(connection, {file.source for file in files})
            for keys in chunks(wanted):
                query = sa.select(FILES.c.file_key, FILES.c.version, FILES.c.id)
                query = query.where(FILES.c.file_key.in_(keys), FILES.c.is_current.is_(False))
                back = [
                    row for row in connection.execute(query) if wanted[row.file_key] == row.version
                ]
                outdate(connection, [row.file_key for row in back])
                ids = [row.id for row in back]
                connection.execute(
                    FILES.update().where(FILES.c.id.in_(ids)).values(is_current=True)
                )
                note_in_open_passes(connection, {file.source for file in files}, ids)
                if ids:
                    _count_up(connection)
                changed += len(back)
        return changed

    def mark_deleted(self, source: str, uris: Iterable[str]) -> int:
        """Say that these files are gone; returns how many of them were there."""
        deleted = 0
        with self._database.write() as connection:
            alone(connection, {source})
            for keys in chunks(file_key(source, uri) for uri in uris):
                deleted += bury(connection, FILES.c.file_key.in_(keys))
        return deleted

    def deletions(self, *, source: str | None = None) -> Iterator[Deletion]:
        """The files that are gone, and since when that is known; in no order."""
        query = sa.select(TOMBSTONES.c.source, TOMBSTONES.c.uri, TOMBSTONES.c.deleted_at)
        if source is not None:
            query = query.where(TOMBSTONES.c.source == source)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=10_000).execute(query):
                yield Deletion(*row)

    def revision(self) -> int:
        """A number that grows whenever files that are in some batch go or come back."""
        query = sa.select(COUNTERS.c.value).where(COUNTERS.c.name == _PRESENCE)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

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
        """The current version of every file that is not deleted, in the order of recording; others are superseded."""
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


def fold_name(name: str) -> str:
    """A base name without regard to letter case and to how accents are composed (macOS decomposes them)."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    # File systems allow 255 bytes; elsewhere a name may be longer than an index entry of PostgreSQL.
    return folded[:500]


def file_key(source: str, uri: str) -> bytes:
    """What stands for a file in indexes, where a URI may be too long."""
    return hashlib.blake2b(f"{source}\0{uri}".encode(), digest_size=16).digest()


def alone(connection: sa.Connection, sources: Collection[str]) -> None:
    """Be the only transaction that writes about the files of these sources, as is the rule on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    # In one order everywhere, so that two writers never wait for each other.
    for source in sorted(sources):
        number = int.from_bytes(file_key(source, "")[:8], "big", signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def bury(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    """Make tombstones of the current versions among `which`; returns how many there were."""
    query = sa.select(FILES.c.id, FILES.c.file_key, FILES.c.source, FILES.c.uri)
    gone = connection.execute(query.where(which, FILES.c.is_current)).all()
    if not gone:
        return 0
    for ids in chunks(row.id for row in gone):
        connection.execute(FILES.update().where(FILES.c.id.in_(ids)).values(is_current=False))
    moment: datetime = now()
    connection.execute(
        TOMBSTONES.insert(),
        [
            {"file_key": r.file_key, "source": r.source, "uri": r.uri, "deleted_at": moment}
            for r in gone
        ],
    )
    _count_up(connection)
    return len(gone)


def _count_up(connection: sa.Connection) -> None:
    """A file changed its state without a new batch."""
    statement: Any = insert_for(connection)(COUNTERS).values(name=_PRESENCE, value=1)
    more = {"value": COUNTERS.c.value + 1}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=more))


def outdate(connection: sa.Connection, file_keys: Collection[bytes]) -> None:
    """Leave these files without a current version and without a tombstone, for a version to become current."""
    for chunk in chunks(file_keys):
        connection.execute(
            FILES.update()
            .where(FILES.c.file_key.in_(chunk), FILES.c.is_current)
            .values(is_current=False)
        )
        connection.execute(TOMBSTONES.delete().where(TOMBSTONES.c.file_key.in_(chunk)))


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
    outdate(connection, last)
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
        for known, version, uri in connection.execute(query.where(FILES.c.file_key.in_(chunk))):
            if (known, version) in versions:
                raise OverlapError(f"Batch {key!r} cannot be recorded: {uri} is in another batch.")


def _file_row(file: FileRef) -> dict[str, Any]:
    return {
        "file_key": file_key(file.source, file.uri),
        "version": file.version,
        "source": file.source,
        "uri": file.uri,
        "name": file.name,
        "basename": fold_name(file.name.rpartition("/")[2]),
    }


def _batch_seq(connection: sa.Connection, key: str) -> int | None:
    return connection.scalar(sa.select(BATCHES.c.seq).where(BATCHES.c.key == key))
