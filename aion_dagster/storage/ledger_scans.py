"""The part of the ledger that knows sources: passes over them that are under way, and how the last one ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from aion_dagster.storage.ledger_database import chunks, now
from aion_dagster.storage.ledger_files import FileLedger, alone, bury
from aion_dagster.storage.ledger_records import SourceState
from aion_dagster.storage.ledger_results import insert_for
from aion_dagster.storage.ledger_tables import FILES, PASSES, SEEN, SOURCES
from aion_dagster.storage.seen_files import SeenFiles

ABANDONED: Final = timedelta(days=30)
"""A pass that is still open after this time is forgotten: whoever began it lost its cursor."""


@dataclass(slots=True)
class Sighting:
    """What a part of a pass saw.

    Attributes:
        known: ids of known files that are there, in whatever version.
        files: how many files were listed, known or not.
        unlisted: URI prefixes below which files may be that could not be listed.
    """

    known: SeenFiles = field(default_factory=SeenFiles)
    files: int = 0
    unlisted: set[str] = field(default_factory=set)


class ScanLedger(FileLedger):
    """A pass lists all of a source, in as many steps as it takes; what it did not see in the end is deleted."""

    def begin_pass(self, source: str) -> str:
        """Begin to list all of a source; returns the pass's id."""
        with self._database.write() as connection:
            alone(connection, {source})
            stale = (PASSES.c.source == source) & (PASSES.c.began_at < now() - ABANDONED)
            for old in connection.scalars(sa.select(PASSES.c.id).where(stale)).all():
                _forget_pass(connection, old)
            pass_id = uuid.uuid4().hex
            # A file that is recorded from now on was there after the pass began, wherever the pass stands.
            last = connection.scalar(sa.select(sa.func.max(FILES.c.id))) or 0
            connection.execute(
                PASSES.insert().values(
                    id=pass_id,
                    source=source,
                    last_file=last,
                    began_at=now(),
                    files=0,
                    unlisted="[]",
                )
            )
        return pass_id

    def note_seen(self, pass_id: str, sighting: Sighting) -> None:
        """Add to what a pass has seen; a pass that is over is left alone."""
        with self._database.write() as connection:
            row = _open_pass(connection, pass_id)
            if row is not None:
                _note_seen(connection, row, sighting)

    def end_pass(
        self, pass_id: str, sighting: Sighting, *, resume: str | None = None, may_be_empty: bool
    ) -> int | None:
        """A pass has come to its end: files that were known when it began and that it did not see are deleted.

        Files that were recorded, or came back, while it was under way stay. A pass that is over changes nothing.

        Args:
            pass_id: as `begin_pass` gave it.
            sighting: what it saw since the last `note_seen`.
            resume: where the next pass may follow changes.
            may_be_empty: False where a pass that listed nothing at all shall delete nothing.

        Returns:
            How many files were deleted; None where the pass listed nothing although files are known, and nothing was
            deleted because of that.
        """
        candidates = self._unseen(pass_id, sighting)
        with self._database.write() as connection:
            row = _open_pass(connection, pass_id)
            if row is None:
                return 0
            row = _note_seen(connection, row, sighting)
            sighting.known.load(connection, pass_id)
            # Whatever came back since then has been noted as seen; what is not current any more, nobody buries.
            missing = sighting.known.missing(candidates)
            is_suspicious = bool(len(missing)) and not row.files and not may_be_empty
            deleted = 0
            if not is_suspicious:
                deleted = _delete(connection, missing.tolist(), json.loads(row.unlisted))
            _forget_pass(connection, pass_id)
            moment = now()
            _note(connection, row.source, resume=resume, listed_at=moment, scanned_at=moment)
        return None if is_suspicious else deleted

    def _unseen(self, pass_id: str, sighting: Sighting) -> NDArray[np.int64]:
        """Ids of the files that a pass would delete now; others may write while a million of them are read."""
        before = SeenFiles()
        with self._database.read() as connection:
            row = _open_pass(connection, pass_id)
            if row is None:
                return np.empty(0, np.int64)
            before.load(connection, pass_id)
            return before.missing(sighting.known.missing(_current(connection, row)))

    def drop_pass(self, pass_id: str) -> None:
        """A pass will not come to its end."""
        with self._database.write() as connection:
            _forget_pass(connection, pass_id)

    def end_changes(self, source: str, *, resume: str | None) -> None:
        """A pass that followed changes has come to its end."""
        with self._database.write() as connection:
            _note(connection, source, resume=resume, scanned_at=now())

    def note_problem(self, source: str, problem: str) -> None:
        """A source could not be scanned; the next pass that comes to its end forgets it."""
        with self._database.write() as connection:
            _note(connection, source, problem=problem, failed_at=now(), keep_problem=True)

    def source_state(self, source: str) -> SourceState:
        """What is known of the passes over a source."""
        query = sa.select(SOURCES).where(SOURCES.c.name == source)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return SourceState(source) if row is None else SourceState(**row._mapping)


def _note_seen(connection: sa.Connection, row: sa.Row[Any], sighting: Sighting) -> sa.Row[Any]:
    """Store a sighting; the pass as it is then."""
    alone(connection, {row.source})
    sighting.known.store(connection, row.id)
    prefixes = sorted({*json.loads(row.unlisted), *sighting.unlisted})
    connection.execute(
        PASSES.update()
        .where(PASSES.c.id == row.id)
        .values(files=PASSES.c.files + sighting.files, unlisted=json.dumps(prefixes))
    )
    return connection.execute(sa.select(PASSES).where(PASSES.c.id == row.id)).one()


def _open_pass(connection: sa.Connection, pass_id: str) -> sa.Row[Any] | None:
    query = sa.select(PASSES).where(PASSES.c.id == pass_id)
    return connection.execute(query).one_or_none()


def _forget_pass(connection: sa.Connection, pass_id: str) -> None:
    connection.execute(SEEN.delete().where(SEEN.c.pass_id == pass_id))
    connection.execute(PASSES.delete().where(PASSES.c.id == pass_id))


def _current(connection: sa.Connection, row: sa.Row[Any]) -> NDArray[np.int64]:
    """Ids of the current versions of a source that were known when a pass began."""
    query = sa.select(FILES.c.id).where(
        FILES.c.source == row.source, FILES.c.is_current, FILES.c.id <= row.last_file
    )
    found = connection.scalars(query.execution_options(yield_per=10_000))
    return np.fromiter(found, dtype=np.int64)


def _delete(connection: sa.Connection, ids: Sequence[int], unlisted: Sequence[str]) -> int:
    """Tombstones for these files, but for those below a prefix that could not be listed."""
    deleted = 0
    for these in chunks(ids):
        if unlisted:
            query = sa.select(FILES.c.id, FILES.c.uri).where(FILES.c.id.in_(these))
            found = connection.execute(query).all()
            these = [row.id for row in found if not row.uri.startswith(tuple(unlisted))]
        deleted += bury(connection, FILES.c.id.in_(these))
    return deleted


def _note(
    connection: sa.Connection, source: str, *, keep_problem: bool = False, **values: Any
) -> None:
    if not keep_problem:
        values |= {"problem": None, "failed_at": None}
    statement: Any = insert_for(connection)(SOURCES).values(name=source, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
