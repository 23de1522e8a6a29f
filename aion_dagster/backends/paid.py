"""One paid call, made once: found again by what it asks, kept within the budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good
from aion_dagster.backends.calls import CallJournal, CallKey, Settlement, Standing
from aion_dagster.client import errors as api
from aion_dagster.errors import AionError


class BudgetSpentError(AionError):
    """A budget does not allow the call; the message names it."""


class CallFailedError(AionError):
    """The call was made before and failed for good, or another process is making it."""


def paid(calls: CallJournal, key: CallKey, make: Callable[[], Settlement]) -> Mapping[str, Any]:
    """The result of a call: of the journal where it was made before, else of `make`, noted at once.

    Args:
        calls: the journal.
        key: what is asked; the same key gives the same result for ever.
        make: makes the call; its `payload` is what is kept.

    Raises:
        BudgetSpentError: a budget does not allow it.
        CallFailedError: it failed for good before, or is being made right now.
        AionvisionError: it failed now.
    """
    (begun,) = calls.begin([key])
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        return begun.payload
    if begun.standing is Standing.OVER_BUDGET:
        raise BudgetSpentError(begun.reason or "the budget is spent")
    if begun.standing is Standing.FAILED:
        raise CallFailedError(f"{key.operation}: failed for good before: {begun.reason}")
    if begun.standing is Standing.BUSY:
        raise CallFailedError(f"{key.operation}: another process is making this call right now")
    calls.sent([key])
    try:
        result = make()
    except api.AionvisionError as error:
        if never_begun(error):
            calls.refused([key])
            calls.release([key])
        else:
            kind, retryable = kind_of(error), not refused_for_good(error)
            calls.failed(key, str(error), kind=kind, retryable=retryable)
        raise
    calls.settled({key: result})
    return result.payload or {}
