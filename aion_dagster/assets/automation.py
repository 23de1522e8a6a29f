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


def after(*keys: dg.AssetKey) -> dg.AutomationCondition[Any]:
    """Whenever one of `keys` is made anew, together with it where it is made in the same tick.

    Other inputs do not count: new labels or batches reach a dataset through the library, which follows them, and
    before there is a library there is nothing to make.
    """
    condition, followed = dg.AutomationCondition, dg.AssetSelection.assets(*keys)
    return (
        condition.any_deps_updated().allow(followed).since_last_handled()
        & ~condition.any_deps_missing().allow(followed)
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("after_library")


def when_new() -> dg.AutomationCondition[Any]:
    """When there is none yet, and when what it is configured by changes."""
    condition = dg.AutomationCondition
    changed: dg.AutomationCondition[Any] = (
        condition.newly_missing() | condition.code_version_changed()
    )
    return (changed.since_last_handled() & ~condition.in_progress()).with_label("when_new")


def once_a_day() -> dg.AutomationCondition[Any]:
    """In the night (UTC)."""
    condition = dg.AutomationCondition
    ticked: dg.AutomationCondition[Any] = condition.cron_tick_passed("20 3 * * *")
    return (ticked.since_last_handled() & ~condition.in_progress()).with_label("once_a_day")
