"""`aion-dagster costs`: what paid calls cost, by day, operation and engine."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import date

from aion_dagster.commands.settings import store_config
from aion_dagster.errors import ConfigError
from aion_dagster.storage.call_records import Spent
from aion_dagster.storage.store import Store

_COLUMNS = (
    "day",
    "operation",
    "engine",
    "calls",
    "failed",
    "in doubt",
    "spared",
    "credits",
    "tokens in/out",
    "p50/p95 ms",
)


def costs(args: Namespace) -> int:
    """Print them, for people or as JSON."""
    config = store_config(args)
    store = Store.open(config.store, library=config.name, create=False)
    spent = store.ledger.spending(since=_day(args.since), until=_day(args.until))
    if args.json:
        print(json.dumps([dataclasses.asdict(one) for one in spent]))  # noqa: T201 - the command's output
    elif not spent:
        print("No paid calls.")  # noqa: T201
    else:
        print("\n".join(table(spent)))  # noqa: T201
    return 0


def table(spent: Sequence[Spent]) -> list[str]:
    """Lines of a table with a sum at its end."""
    rows = [_COLUMNS, *map(_row, spent)]
    total = f"{sum(s.credits for s in spent):g}"
    calls, hits = sum(s.calls for s in spent), sum(s.hits for s in spent)
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [*lines, f"{calls} calls, {hits} answers had without a call, {total} credits"]


def _row(one: Spent) -> tuple[str, ...]:
    latency = "" if one.p50_ms is None else f"{one.p50_ms:.0f}/{one.p95_ms:.0f}"
    return (
        one.day,
        one.operation,
        one.engine,
        str(one.calls),
        str(one.failed),
        str(one.in_doubt),
        str(one.hits),
        f"{one.credits:g}",
        f"{one.input_tokens}/{one.output_tokens}",
        latency,
    )


def _day(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ConfigError(f"{text!r} is no day such as 2026-01-31") from None
