"""`aion-dagster costs`: what paid calls cost, by day, operation and engine."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import date

from aion_dagster.commands.settings import store_config
from aion_dagster.errors import ConfigError
from aion_dagster.storage.call_records import NOT_TOLD, Spent
from aion_dagster.storage.store import Store
from aion_dagster.wording import plural

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
    days = _day(args.since), _day(args.until)
    spent = store.ledger.spending(since=days[0], until=days[1])
    if args.json:
        told = [{**dataclasses.asdict(s), "credits_told": s.credits_told} for s in spent]
        print(json.dumps(told))
    elif not spent:
        print("No paid calls.")
    else:
        print("\n".join([*table(spent), *account(store, *days)]))
    return 0


def table(spent: Sequence[Spent]) -> list[str]:
    """Lines of a table with a sum at its end."""
    rows = [_COLUMNS, *map(_row, spent)]
    credit = sum(s.credits for s in spent)
    total = f"{credit:g} credits" if credit else f"credits {NOT_TOLD}"
    calls, hits = sum(s.calls for s in spent), sum(s.hits for s in spent)
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    spared = plural(hits, "answer")
    return [*lines, f"{plural(calls, 'call')}, {spared} had without a call, {total}"]


def account(store: Store, since: str | None, until: str | None) -> list[str]:
    """A line of what the platform says of the whole account, on the days that the table `usage` has of the asked ones."""
    if not store.tables.exists("usage"):
        return []
    found = {
        row["day"].isoformat(): row["credits"]
        for row in store.tables.read("usage").to_pylist()
        if (row["origin"], row["period"], row["operation"]) == ("platform", "day", "all")
        and row["credits"] is not None
    }
    days = sorted(d for d in found if (since or d) <= d <= (until or d))
    if not days:
        return []
    total = sum(found[day] for day in days)
    return [
        f"the platform says of the whole account: {total:g} credits from {days[0]} to {days[-1]}"
        " (table usage has them by day)"
    ]


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
        f"{one.credits:g}" if one.credits_told or not one.calls else NOT_TOLD,
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
