"""A paid call of an agent: noted before and after, its answer kept, so that the same question is paid once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.paid import BudgetSpentError, CallFailedError
from aion_dagster.errors import AionError

_WAIT: Final = 120.0
_LOOK_AGAIN: Final = 0.5


class AgentError(AionError):
    """An agent did not do what it was asked; `retryable` where another time may help."""

    def __init__(
        self, reason: str, *, kind: str = "agent", retryable: bool = True, begun: bool = True
    ) -> None:
        """`begun`: the server may have worked on it."""
        super().__init__(reason)
        self.kind, self.retryable, self.begun = kind, retryable, begun


class InDoubtError(AionError):
    """A call that must not be made twice was sent, and nobody knows what became of it."""


def asked_once(
    calls: CallJournal,
    key: CallKey,
    make: Callable[[], Settlement],
    *,
    repeatable: bool = True,
    advice: str = "",
) -> tuple[Mapping[str, Any], Settlement | None]:
    """The answer to a question: of the journal where it was asked before, else of `make`, noted at once.

    Args:
        calls: the journal.
        key: what is asked; the same key gives the same answer for ever.
        make: asks; raises `AgentError`.
        repeatable: whether it may be asked again where an earlier process sent it and never noted an answer.
        advice: what to do where it may not.

    Returns:
        The payload of the answer; and what it cost, where it was asked now.

    Raises:
        BudgetSpentError: a budget does not allow it.
        CallFailedError: it failed for good before, or another process has been at it for too long.
        InDoubtError: it may not be repeated, and was sent before.
        AgentError: it failed now.
    """
    if not repeatable and calls.look([key])[0].standing is Standing.IN_DOUBT:
        raise InDoubtError(
            f"{key.operation} was sent before and its answer never came: it is not sent again, since it may have been "
            f"carried out. {advice}"
        )
    begun = _begun(calls, key)
    if begun.standing is Standing.SETTLED:
        return begun.payload or {}, None
    if begun.standing is Standing.OVER_BUDGET:
        raise BudgetSpentError(begun.reason or "the budget is spent")
    if begun.standing is Standing.FAILED:
        raise CallFailedError(f"{key.operation}: failed for good before: {begun.reason}. {advice}")
    if not begun.may_send:
        raise CallFailedError(f"{key.operation}: another process has been at this for too long")
    calls.sent([key])
    started = time.perf_counter()
    try:
        made = make()
    except AgentError as error:
        if not error.begun:
            calls.refused([key])
            calls.release([key])
        else:
            again = error.retryable and repeatable
            calls.failed(key, str(error), kind=error.kind, retryable=again)
        raise
    settled = Settlement(
        made.payload,
        made.remote_id,
        made.credits,
        made.input_tokens,
        made.output_tokens,
        (time.perf_counter() - started) * 1000,
    )
    calls.settled({key: settled})
    return settled.payload or {}, settled


def _begun(calls: CallJournal, key: CallKey) -> Begun:
    """How the call stands, once no other process makes it any more (or that has taken too long)."""
    end = time.monotonic() + _WAIT
    while True:
        (begun,) = calls.begin([key])
        if begun.standing is not Standing.BUSY or time.monotonic() > end:
            return begun
        time.sleep(_LOOK_AGAIN)
