"""Budgets of paid calls: counters per run, day, month and library, held by however many processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aion_dagster.storage.call_records import BudgetScope, Cap
from aion_dagster.storage.ledger_tables import BUDGETS

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
        self, connection: sa.Connection, moment: datetime, *, calls: int = 0, credit: float = 0.0
    ) -> None:
        """Count what was spent, in every scope."""
        if calls or credit:
            names = self._names(self._run, moment.date().isoformat()).values()
            self._add(connection, names, calls, credit)

    def refund(self, connection: sa.Connection, run: str, day: str) -> None:
        """Give one call back to the scopes that it was counted in."""
        self._add(connection, self._names(run, day).values(), -1, 0.0)

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
        " and run again: what is done is kept"
    )
