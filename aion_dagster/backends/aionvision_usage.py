"""What an Aionvision account used: credits, tokens and counts by day and operation, in rows of the table `usage`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_usage_reading import PLATFORM, Row, UsageReading
from aion_dagster.client import AionVision
from aion_dagster.storage.call_records import Spent

JOURNAL: Final = "journal"

_LONGEST: Final = timedelta(days=62)
"""How far back the platform is asked where nothing was read for long."""


@dataclass(frozen=True)
class Usage:
    """Rows of schema `USAGE`; `facts` of the current month, for metadata; `missing` is what the platform does not tell."""

    table: pa.Table
    facts: dict[str, Any]
    missing: tuple[str, ...]


def read_usage(
    backend: AionvisionBackend,
    spent: Iterable[Spent],
    before: pa.Table | None,
    *,
    today: date | None = None,
) -> Usage:
    """Ask what was used since the last reading; nothing of this costs anything.

    Args:
        backend: the platform.
        spent: what the journal says.
        before: rows of the last reading, which are kept for the days that are not asked for again; None for the first.
        today: the day (UTC) that is not over.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """
    until = today or datetime.now(UTC).date()
    kept = [] if before is None else before.to_pylist()
    since = _since(kept, until)

    async def ask(client: AionVision) -> UsageReading:
        reading = UsageReading(client, since, until)
        await reading.read()
        return reading

    reading = backend.ask(ask)
    rows = [r for r in kept if r["origin"] == PLATFORM and _is_history(r, since, until)]
    rows += reading.rows()
    rows += [_of_journal(one) for one in _by_operation(spent, backend.engine)]
    rows.sort(key=lambda r: (r["day"], r["period"], r["origin"], r["operation"]))
    table = pa.Table.from_pylist(rows, schema=schemas.USAGE)
    return Usage(table, reading.facts, tuple(reading.missing))


def _since(kept: Sequence[Row], until: date) -> date:
    """The first day to ask for: the one before the last that was read, since what is booked late counts too."""
    days = [r["day"] for r in kept if r["origin"] == PLATFORM and r["period"] == "day"]
    first = max(days) - timedelta(days=1) if days else until.replace(day=1)
    return max(min(first, until), until - _LONGEST)


def _is_history(row: Row, since: date, until: date) -> bool:
    """Whether a row of an earlier reading is about a time that is not asked for again."""
    day: date = row["day"]
    return day < since if row["period"] == "day" else day < until.replace(day=1)


def _by_operation(spent: Iterable[Spent], engine: str) -> list[Spent]:
    return [one for one in spent if one.engine == engine and one.calls]


def _of_journal(one: Spent) -> Row:
    return {
        "day": date.fromisoformat(one.day),
        "period": "day",
        "operation": one.operation,
        "origin": JOURNAL,
        "quantity": float(one.calls),
        "credits": one.credits,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
    }
