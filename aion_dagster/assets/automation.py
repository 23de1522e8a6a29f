"""When assets over all batches are materialized by themselves."""

from __future__ import annotations

from typing import Any

import dagster as dg


def after_batches() -> dg.AutomationCondition[Any]:
    """Once a burst of batches is done: one recomputation, not one per batch.

    `eager()` would wait for every partition to exist, and so stop for ever at the first batch that failed.
    """
    condition = dg.AutomationCondition
    return (
        condition.any_deps_updated().since_last_handled()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("after_batches")
