"""What paid calls cost: by day, operation and engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from aion_dagster.storage.call_records import Spent
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_tables import CALL_SUMS, CALLS


@dataclass
class _Sum:
    """What one group of calls adds up to."""

    calls: int = 0
    hits: int = 0
    credits: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    settled: int = 0
    failed: int = 0
    in_doubt: int = 0
    latencies: list[float] = field(default_factory=list)


def spending(
    database: Database, *, since: str | None = None, until: str | None = None
) -> list[Spent]:
    """What was spent, in the order of days.

    Calls, credits and tokens stand on the day on which they were spent; a call's state and latency on that of its last
    sending.

    Args:
        database: the ledger's.
        since: first day, `2026-01-31`; None for the first there is.
        until: last day; None for the last there is.
    """
    sums: dict[tuple[str, str, str], _Sum] = {}
    states = sa.select(
        CALLS.c.day, CALLS.c.operation, CALLS.c.engine, CALLS.c.state, CALLS.c.milliseconds
    )
    with database.read() as connection:
        for row in connection.execute(
            _between(sa.select(CALL_SUMS), CALL_SUMS.c.day, since, until)
        ):
            sums[row.day, row.operation, row.engine] = _Sum(
                row.calls, row.hits, row.credits, row.input_tokens, row.output_tokens
            )
        query = _between(states, CALLS.c.day, since, until)
        for row in connection.execution_options(yield_per=10_000).execute(query):
            _add(sums.setdefault((row.day, row.operation, row.engine), _Sum()), row)
    return [
        Spent(
            *key,
            calls=one.calls,
            settled=one.settled,
            failed=one.failed,
            in_doubt=one.in_doubt,
            hits=one.hits,
            credits=one.credits,
            input_tokens=one.input_tokens,
            output_tokens=one.output_tokens,
            p50_ms=percentile(one.latencies, 0.5),
            p95_ms=percentile(one.latencies, 0.95),
        )
        for key, one in sorted(sums.items())
    ]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` (0 to 1) of the values do not exceed (nearest rank); None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]


def _add(one: _Sum, row: Any) -> None:
    one.settled += row.state == "settled"
    one.failed += row.state == "failed"
    one.in_doubt += row.state in ("reserved", "sent", "accepted")
    if row.milliseconds is not None:
        one.latencies.append(row.milliseconds)


def _between(
    query: sa.Select[Any], day: sa.ColumnElement[str], since: str | None, until: str | None
) -> sa.Select[Any]:
    if since is not None:
        query = query.where(day >= since)
    return query if until is None else query.where(day <= until)
