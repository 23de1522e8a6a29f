"""The part of the ledger that erases: nothing is left of some files and contents but marks that keep them out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aion_dagster.errors import StorageError
from aion_dagster.storage.ledger_database import chunks, now
from aion_dagster.storage.ledger_files import alone, file_key, outdate
from aion_dagster.storage.ledger_results import insert_for
from aion_dagster.storage.ledger_scans import ScanLedger
from aion_dagster.storage.ledger_tables import (
    BATCHES,
    BUILDS,
    CALLS,
    COUNTERS,
    FILES,
    METADATA,
    RESULTS,
    SOURCES,
    TOMBSTONES,
    UtcDateTime,
)
from aion_dagster.values import FileRef

FORGOTTEN = sa.Table(
    "forgotten",
    METADATA,
    sa.Column("mark", sa.LargeBinary(16), primary_key=True),
    sa.Column("forgotten_at", UtcDateTime, nullable=False),
)
"""Hashes of file versions and of contents that were erased, and are not to come back."""

ERASED_TEXT: Final = "This message named a file that was erased."
_WAIT_SECONDS: Final = 60.0
_TOUCHED: Final = (FILES, TOMBSTONES, RESULTS, CALLS, BATCHES, BUILDS, SOURCES)


class FileVersion(NamedTuple):
    """One version of a file, as an erasure knows it."""

    source: str
    uri: str
    version: str


class Slimmed(NamedTuple):
    """What the ledger is to say of a batch that has lost files."""

    manifest_digest: str
    file_count: int
    size_bytes: int


class Reprint(NamedTuple):
    """The fingerprint of a build that is as good as before, now that its batch has lost files."""

    asset: str
    batch: str
    old: str
    new: str


def file_mark(file: FileVersion) -> bytes:
    """What stands for an erased version of a file; it tells nothing of it to whoever does not know it already."""
    return _mark(b"aion file", "\0".join(file))


def content_mark(sha256: str) -> bytes:
    """What stands for an erased content."""
    return _mark(b"aion content", sha256)


def _mark(kind: bytes, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16, person=kind).digest()


class ErasureLedger(ScanLedger):
    """Erased file versions and contents are known by their marks alone."""

    def note_forgotten(self, marks: Iterable[bytes]) -> None:
        """Keep these files and contents out from now on."""
        rows = [{"mark": mark, "forgotten_at": now()} for mark in sorted(set(marks))]
        if not rows:
            return
        with self._database.write() as connection:
            statement = insert_for(connection)(FORGOTTEN).on_conflict_do_nothing()
            connection.execute(statement, rows)

    def without_forgotten(self, files: Sequence[FileRef]) -> list[FileRef]:
        """Those of `files` that were not erased in this version."""
        marks = {file_mark(FileVersion(f.source, f.uri, f.version)): f for f in files}
        gone = self._known_marks(marks)
        return [file for mark, file in marks.items() if mark not in gone] if gone else [*files]

    def forgotten_contents(self, sha256s: Collection[str]) -> set[str]:
        """Those of these contents that were erased."""
        marks = {content_mark(sha256): sha256 for sha256 in sha256s}
        return {marks[mark] for mark in self._known_marks(marks)}

    def versions_of(self, uri: str) -> list[tuple[FileVersion, str]]:
        """Every known version of the file at a URI, in whichever source, and its batch."""
        query = (
            sa.select(FILES.c.source, FILES.c.uri, FILES.c.version, BATCHES.c.key)
            .join(BATCHES, BATCHES.c.seq == FILES.c.batch_seq)
            .order_by(FILES.c.id)
        )
        with self._database.read() as connection:
            # By the keys of the file in every source: there is no index of URIs.
            sources = connection.scalars(sa.select(BATCHES.c.source).distinct()).all()
            keys = [file_key(source, uri) for source in sources]
            rows = [
                row
                for these in chunks(keys)
                for row in connection.execute(query.where(FILES.c.file_key.in_(these)))
            ]
        return [(FileVersion(*row[:3]), row[3]) for row in rows]

    def batches_of(self, files: Collection[FileVersion]) -> set[str]:
        """The batches that hold these file versions."""
        wanted = {(file_key(f.source, f.uri), f.version) for f in files}
        query = sa.select(FILES.c.file_key, FILES.c.version, BATCHES.c.key).join(
            BATCHES, BATCHES.c.seq == FILES.c.batch_seq
        )
        found = set()
        with self._database.read() as connection:
            for keys in chunks({key for key, _ in wanted}):
                for key, version, batch in connection.execute(
                    query.where(FILES.c.file_key.in_(keys))
                ):
                    if (bytes(key), version) in wanted:
                        found.add(batch)
        return found

    def erase(
        self,
        files: Collection[FileVersion],
        sha256s: Collection[str],
        *,
        mentions: Collection[str] = (),
        operations: Collection[str] = (),
        batches: Mapping[str, Slimmed],
        prints: Sequence[Reprint] = (),
    ) -> None:
        """Delete all that is said of these file versions and contents, in one transaction; a second time changes nothing.

        A file whose current version is deleted and that has older ones counts as gone, so that none of them comes
        back. What was spent on deleted calls stays in the sums.

        Args:
            files: file versions.
            sha256s: contents.
            mentions: texts that no message may hold any more.
            operations: what the names of operations begin with whose answers tell of several contents at once: all go.
            batches: batches that lose files → what is said of them then.
            prints: builds whose fingerprint follows.
        """
        with self._database.write() as connection:
            alone(connection, {file.source for file in files})
            _erase_files(connection, files)
            for these in chunks(sha256s):
                for table in (RESULTS, CALLS):
                    connection.execute(table.delete().where(table.c.sha256.in_(these)))
            for begin in operations:
                about = CALLS.c.operation.startswith(begin, autoescape=True)
                connection.execute(CALLS.delete().where(about))
            for key, facts in batches.items():
                connection.execute(
                    BATCHES.update().where(BATCHES.c.key == key).values(**facts._asdict())
                )
            for each in prints:
                this = (BUILDS.c.asset == each.asset) & (BUILDS.c.partition == each.batch)
                connection.execute(
                    BUILDS.update()
                    .where(this, BUILDS.c.fingerprint == each.old)
                    .values(fingerprint=each.new)
                )
            _erase_mentions(connection, mentions)

    def forget_batches(self, batches: Collection[str]) -> None:
        """Forget results and builds of batches that are no more; those that are recorded are left alone."""
        with self._database.write() as connection:
            for these in chunks(batches):
                known = sa.select(BATCHES.c.key).where(BATCHES.c.key.in_(these))
                gone = set(these).difference(connection.scalars(known))
                connection.execute(RESULTS.delete().where(RESULTS.c.batch.in_(gone)))
                connection.execute(BUILDS.delete().where(BUILDS.c.partition.in_(gone)))

    def compact_database(self) -> None:
        """Have the database give up the bytes of rows that were deleted; remove older copies of an SQLite file.

        Raises:
            StorageError: SQLite: another process holds the ledger open at an old state.
        """
        engine = self._database._engine
        if engine.dialect.name == "sqlite":
            _compact_sqlite(str(engine.url.database))
            return
        names = engine.get_execution_options().get("schema_translate_map", {})
        quoted = engine.dialect.identifier_preparer.quote
        prefix = f"{quoted(names[None])}." if names.get(None) else ""
        plain = engine.execution_options(isolation_level="AUTOCOMMIT")
        with self._database._errors(), plain.connect() as connection:
            for table in _TOUCHED:
                connection.exec_driver_sql(f"VACUUM (FULL) {prefix}{table.name}")

    def _known_marks(self, marks: Collection[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        if not marks:
            return found
        with self._database.read() as connection:
            for these in chunks(marks):
                query = sa.select(FORGOTTEN.c.mark).where(FORGOTTEN.c.mark.in_(these))
                found.update(bytes(mark) for mark in connection.scalars(query))
        return found


def _erase_files(connection: sa.Connection, files: Collection[FileVersion]) -> None:
    wanted = {(file_key(f.source, f.uri), f.version) for f in files}
    for keys in chunks({key for key, _ in wanted}):
        query = sa.select(FILES.c.id, FILES.c.file_key, FILES.c.version, FILES.c.is_current)
        rows = connection.execute(query.where(FILES.c.file_key.in_(keys))).all()
        gone = [r for r in rows if (bytes(r.file_key), r.version) in wanted]
        for ids in chunks(row.id for row in gone):
            connection.execute(FILES.delete().where(FILES.c.id.in_(ids)))
        left = {bytes(r.file_key) for r in rows if (bytes(r.file_key), r.version) not in wanted}
        for key in set(keys) - left:
            connection.execute(TOMBSTONES.delete().where(TOMBSTONES.c.file_key == key))
        _bury_older(connection, left & {bytes(r.file_key) for r in gone if r.is_current})
        if any(row.is_current for row in gone):
            counted: Any = insert_for(connection)(COUNTERS).values(name="presence", value=1)
            more = {"value": COUNTERS.c.value + 1}
            connection.execute(counted.on_conflict_do_update(index_elements=["name"], set_=more))


def _bury_older(connection: sa.Connection, keys: Collection[bytes]) -> None:
    """Files of which older versions are left: they are gone, as those are not what the source holds."""
    outdate(connection, keys)
    for key in keys:
        row = connection.execute(
            sa.select(FILES.c.source, FILES.c.uri).where(FILES.c.file_key == key).limit(1)
        ).one()
        connection.execute(
            TOMBSTONES.insert().values(
                file_key=key, source=row.source, uri=row.uri, deleted_at=now()
            )
        )


def _erase_mentions(connection: sa.Connection, mentions: Collection[str]) -> None:
    for text in mentions:
        for column in (SOURCES.c.problem, BATCHES.c.blocked_reason, CALLS.c.reason):
            holds = column.contains(text, autoescape=True)
            connection.execute(
                sa.update(column.table).where(holds).values({column.name: ERASED_TEXT})
            )
        # A place in a log of changes that names the file: the next pass lists everything.
        holds = SOURCES.c.resume.contains(text, autoescape=True)
        connection.execute(SOURCES.update().where(holds).values(resume=None))


def _compact_sqlite(file: str) -> None:
    for copy in Path(file).parent.glob(f"{Path(file).name}.*"):
        copy.unlink()  # made before a migration or by a rebuild: it holds what was deleted
    try:
        with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS, isolation_level=None)) as opened:
            opened.execute("VACUUM")
            busy, _, _ = opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise StorageError(f"The ledger {file} cannot be compacted: {error}.") from error
    if busy:
        raise StorageError(
            f"Another process reads the ledger {file}, whose journal still holds what was deleted: stop it, and run"
            " aion-dagster forget once more."
        )
