"""Budgets of paid calls: counters per run, day, month and library, held by however many processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aion_dagster.storage.call_records import BudgetScope, Cap, Settlement
from aion_dagster.storage.ledger_tables import BUDGETS, CALL_SUMS

_UNLIMITED: Final = 2**62


@dataclass(frozen=True, slots=True)
class Left:
    """How many calls every cap still allows, and the words of the one that allows least."""

    calls: int
    reason: str


class Budgets:
    """The counters of one run; every method works within the caller's transaction."""

    def __init__(self, run: str, caps: Sequence[Cap]) -> None:
        """Hold `caps` in `run`."""
        self._run = run
        self._caps = tuple(caps)

    def lock(self, connection: sa.Connection, moment: datetime) -> Left:
        """Keep other processes from spending until this transaction ends, and say what is left.

        On PostgreSQL the row of the library is locked, which every spender asks for first; SQLite has one writer.
        """
        names = self._names(self._run, moment.date().isoformat())
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
        for name in sorted(names.values()):
            fresh = insert(BUDGETS).values(scope=name, calls=0, credits=0.0)
            connection.execute(fresh.on_conflict_do_nothing())
        first = sa.select(BUDGETS.c.scope).where(BUDGETS.c.scope == "library").with_for_update()
        connection.execute(first)
        query = sa.select(BUDGETS).where(BUDGETS.c.scope.in_(list(names.values())))
        spent = {row.scope: row for row in connection.execute(query)}
        left = Left(_UNLIMITED, "")
        for cap in self._caps:
            row = spent[names[cap.per]]
            if cap.calls is not None and cap.calls - row.calls < left.calls:
                left = Left(max(0, cap.calls - row.calls), _reason(cap.per, cap.calls, "calls"))
            if cap.credits is not None and row.credits >= cap.credits:
                left = Left(0, _reason(cap.per, cap.credits, "credits"))
        return left

    def spend(
        self,
        connection: sa.Connection,
        moment: datetime,
        what: tuple[str, str],
        *,
        calls: int = 0,
        hits: int = 0,
        result: Settlement | None = None,
    ) -> None:
        """Count what was spent on an operation of an engine, in every scope and on its day."""
        credit = (result.credits or 0.0) if result else 0.0
        day = moment.date().isoformat()
        if calls or credit:
            self._add(connection, self._names(self._run, day).values(), calls, credit)
        tokens = (result.input_tokens, result.output_tokens) if result else (0, 0)
        if calls or hits or credit or any(tokens):
            _add_to_day(connection, day, what, calls, hits, credit, *tokens)

    def refund(self, connection: sa.Connection, run: str, day: str, what: tuple[str, str]) -> None:
        """Give one call back to the scopes that it was counted in."""
        self._add(connection, self._names(run, day).values(), -1, 0.0)
        _add_to_day(connection, day, what, -1, 0, 0.0, 0, 0)

    def _names(self, run: str, day: str) -> dict[BudgetScope, str]:
        return {
            "library": "library",
            "day": f"day:{day}",
            "month": f"month:{day[:7]}",
            "run": f"run:{run}",
        }

    def _add(
        self, connection: sa.Connection, names: Iterable[str], calls: int, credit: float
    ) -> None:
        connection.execute(
            BUDGETS.update()
            .where(BUDGETS.c.scope.in_(list(names)))
            .values(calls=BUDGETS.c.calls + calls, credits=BUDGETS.c.credits + credit)
        )


def _reason(per: BudgetScope, cap: float, unit: str) -> str:
    of = {"run": "this run", "day": "today", "month": "this month", "library": "this library"}[per]
    return (
        f"the budget of {cap:g} {unit} for {of} is spent; raise budgets.{per} in the configuration"
        " (aion.yaml in the store, or the file that --config names) and run again: what is done is kept"
    )


def calls_of_run(connection: sa.Connection, run: str) -> int:
    """How many paid calls a run made."""
    query = sa.select(BUDGETS.c.calls).where(BUDGETS.c.scope == f"run:{run}")
    return connection.scalar(query) or 0


def spent_at(connection: sa.Connection, moment: datetime) -> dict[BudgetScope, tuple[int, float]]:
    """Calls and credits of the library, and of the day and month of `moment`."""
    day = moment.date().isoformat()
    names: dict[BudgetScope, str] = {
        "day": f"day:{day}",
        "month": f"month:{day[:7]}",
        "library": "library",
    }
    query = sa.select(BUDGETS).where(BUDGETS.c.scope.in_(list(names.values())))
    rows = {row.scope: (row.calls, row.credits) for row in connection.execute(query)}
    return {scope: rows.get(name, (0, 0.0)) for scope, name in names.items()}


def _add_to_day(
    connection: sa.Connection,
    day: str,
    what: tuple[str, str],
    calls: int,
    hits: int,
    credit: float,
    input_tokens: int,
    output_tokens: int,
) -> None:
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    added = {
        "calls": calls,
        "hits": hits,
        "credits": credit,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }
    statement = insert(CALL_SUMS).values(day=day, operation=what[0], engine=what[1], **added)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["day", "operation", "engine"],
            set_={name: CALL_SUMS.c[name] + value for name, value in added.items()},
        )
    )
