"""The ledger: which file versions are known and in which batch, what has been computed, what has been built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from aion_dagster.errors import StorageError
from aion_dagster.storage.call_records import BudgetScope, Cap, Spent
from aion_dagster.storage.ledger_budgets import calls_of_run, spent_at
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database, now
from aion_dagster.storage.ledger_paces import SharedPace
from aion_dagster.storage.ledger_records import (
    BatchRecord,
    BatchStatus,
    Counts,
)
from aion_dagster.storage.ledger_retired import RetiredLedger
from aion_dagster.storage.ledger_spending import spending
from aion_dagster.storage.ledger_tables import BATCHES, BUILDS, FILES, RESULTS
from aion_dagster.storage.ledger_trace import KnownCall, KnownResult, calls_about, results_about
from aion_dagster.storage.reply_log import ReplyLog


class Ledger(RetiredLedger):
    """A small database beside the store, or a server by URL; every write is one transaction.

    Safe for several threads and processes. Every method raises StorageError where the database cannot be used.
    """

    def __init__(self, url: str | sa.URL, *, library: str = "default") -> None:
        """Open the ledger at an SQLAlchemy URL; any but the default library has a schema of its own on PostgreSQL."""
        super().__init__(Database(url, schema=None if library == "default" else f"aion_{library}"))
        place = sa.make_url(url)
        is_file = place.get_backend_name() == "sqlite" and place.database
        # A server's transactions take no turns.
        self._replies = ReplyLog(Path(f"{place.database}-replies")) if is_file else None

    @classmethod
    def at(cls, path: Path) -> Self:
        """The ledger in an SQLite file, created where it is missing."""
        return cls(sa.URL.create("sqlite", database=str(path)))

    def paid_calls(self, run: str, caps: Sequence[Cap] = ()) -> PaidCalls:
        """The journal in which this process notes the paid calls of `run`, within `caps`."""
        return PaidCalls(self._database, run=run, caps=caps, replies=self._replies)

    def pace(self, name: str, requests_per_minute: int) -> SharedPace:
        """The pace of an account, shared by all processes of this ledger."""
        return SharedPace(self._database, name, requests_per_minute)

    def spending(self, *, since: str | None = None, until: str | None = None) -> list[Spent]:
        """What paid calls cost, by day, operation and engine; days as `2026-01-31`."""
        return spending(self._database, since=since, until=until)

    def results_about(self, sha256: str) -> list[KnownResult]:
        """Which operations have results of a content."""
        return results_about(self._database, sha256)

    def calls_about(self, sha256: str) -> list[KnownCall]:
        """The paid calls about a content, the oldest first."""
        return calls_about(self._database, sha256)

    def calls_of_run(self, run: str) -> int:
        """How many paid calls a run made."""
        with self._database.read() as connection:
            return calls_of_run(connection, run)

    def spent_now(self) -> dict[BudgetScope, tuple[int, float]]:
        """Calls and credits that count against the budgets of this day, this month and the library."""
        with self._database.read() as connection:
            return spent_at(connection, now())

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        self._database.close()

    def __enter__(self) -> Self:
        """The ledger itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def where(self) -> str:
        """Its URL, without a password."""
        return self._database.where

    def has_batches(self) -> bool:
        """Whether any batch is recorded."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(BATCHES.c.seq).limit(1)) is not None

    def damage(self) -> str | None:
        """What is wrong with the database itself, as far as it can tell; None where nothing is."""
        return self._database.damage()

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
        query = sa.select(*_BATCH_COLUMNS).order_by(BATCHES.c.seq)
        if status is not None:
            query = query.where(_HAS_STATUS[status])
        if source is not None:
            query = query.where(BATCHES.c.source == source)
        with self._database.read() as connection:
            return [BatchRecord(*row) for row in connection.execute(query).all()]

    def mark_started(self, key: str) -> None:
        """A run works on the batch; the first start stays."""
        self._update_batch(key, started_at=sa.func.coalesce(BATCHES.c.started_at, now()))

    def mark_finished(self, key: str) -> None:
        """A run of the batch has come to its end; the last one counts."""
        self._update_batch(key, finished_at=now())

    def mark_blocked(self, key: str, reason: str | None) -> None:
        """Keep the batch out of the library because of `reason`; None lets it in again."""
        self._update_batch(key, blocked_reason=reason)

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


_BATCH_COLUMNS = [BATCHES.c[field.name] for field in fields(BatchRecord)]
_HAS_STATUS = {
    "waiting": BATCHES.c.started_at.is_(None),
    "started": BATCHES.c.started_at.is_not(None) & BATCHES.c.finished_at.is_(None),
    "finished": BATCHES.c.finished_at.is_not(None),
    "blocked": BATCHES.c.blocked_reason.is_not(None),
}
