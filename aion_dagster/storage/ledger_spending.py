"""What paid calls cost: by day, operation and engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from aion_dagster.storage.call_records import Spent
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_tables import CALLS


@dataclass
class _Sum:
    """What one group of calls adds up to."""

    calls: int = 0
    settled: int = 0
    failed: int = 0
    in_doubt: int = 0
    hits: int = 0
    credits: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    latencies: list[float] = field(default_factory=list)


def spending(
    database: Database,
    *,
    since: str | None = None,
    until: str | None = None,
    run: str | None = None,
) -> list[Spent]:
    """What was spent, in the order of days.

    Args:
        database: the ledger's.
        since: first day, `2026-01-31`; None for the first there is.
        until: last day; None for the last there is.
        run: of one run only.
    """
    query = sa.select(
        CALLS.c.day,
        CALLS.c.operation,
        CALLS.c.engine,
        CALLS.c.state,
        CALLS.c.units,
        CALLS.c.hits,
        CALLS.c.credits,
        CALLS.c.input_tokens,
        CALLS.c.output_tokens,
        CALLS.c.milliseconds,
    )
    if since is not None:
        query = query.where(CALLS.c.day >= since)
    if until is not None:
        query = query.where(CALLS.c.day <= until)
    if run is not None:
        query = query.where(CALLS.c.run == run)
    sums: dict[tuple[str, str, str], _Sum] = {}
    with database.read() as connection:
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
    one.calls += row.units
    one.settled += row.state == "settled"
    one.failed += row.state == "failed"
    one.in_doubt += row.state in ("reserved", "sent", "accepted")
    one.hits += row.hits
    one.credits += row.credits
    one.input_tokens += row.input_tokens
    one.output_tokens += row.output_tokens
    if row.milliseconds is not None:
        one.latencies.append(row.milliseconds)
