"""What the ledger knows of one content: which operations have results of it, and which paid calls were about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_tables import CALLS, OPERATIONS, RESULTS


@dataclass(frozen=True, slots=True)
class KnownResult:
    """An operation that was done on a content; `parameters` are hashed, `batch` holds its rows."""

    operation: str
    parameters: str
    batch: str


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A paid call about a content; `credits` None where the engine does not tell."""

    operation: str
    engine: str
    parameters: str
    state: str
    run: str
    day: str
    credits: float | None
    input_tokens: int
    output_tokens: int
    milliseconds: float | None
    remote_id: str | None
    updated_at: datetime


def results_about(database: Database, sha256: str) -> list[KnownResult]:
    """Results of a content, by operation."""
    query = (
        sa.select(OPERATIONS.c.operation, OPERATIONS.c.parameters, RESULTS.c.batch)
        .join(RESULTS, RESULTS.c.operation_id == OPERATIONS.c.id)
        .where(RESULTS.c.sha256 == sha256)
        .order_by(OPERATIONS.c.operation, OPERATIONS.c.parameters)
    )
    with database.read() as connection:
        return [KnownResult(*row) for row in connection.execute(query)]


def calls_about(database: Database, sha256: str) -> list[KnownCall]:
    """Paid calls about a content, the oldest first."""
    names = KnownCall.__dataclass_fields__
    query = sa.select(*(CALLS.c[n] for n in names)).where(CALLS.c.sha256 == sha256)
    with database.read() as connection:
        return [KnownCall(*row) for row in connection.execute(query.order_by(CALLS.c.id))]
