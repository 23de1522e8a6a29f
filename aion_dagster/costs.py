"""Whose budget a paid call counts against."""

from __future__ import annotations

import os
from typing import Final

from aion_dagster.engines import BudgetsConfig
from aion_dagster.storage.call_records import BudgetScope, Cap

INVOCATION: Final = "AION_INVOCATION"
"""Environment variable in which `aion-dagster run` names itself to all its processes."""

SCOPES: Final[tuple[BudgetScope, ...]] = ("run", "day", "month", "library")


def invocation() -> str | None:
    """The name of the `aion-dagster run` that this process works for; None elsewhere."""
    return os.environ.get(INVOCATION) or None


def spending_caps(config: BudgetsConfig) -> list[Cap]:
    """The budgets of a library, as the ledger wants them."""
    budgets = {scope: getattr(config, scope) for scope in SCOPES}
    return [
        Cap(scope, budget.calls, budget.credits)
        for scope, budget in budgets.items()
        if budget.calls is not None or budget.credits is not None
    ]
