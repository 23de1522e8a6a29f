"""Which failures are tried again, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import tenacity

from aion_dagster.client.bodies import TOO_LARGE
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    CircuitBreakerError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)

LONGEST_WAIT: Final = 60.0
"""Seconds between two tries, at most, where the server does not ask for more."""

LONGEST_ASKED: Final = 120.0
"""Seconds that a server may have one request wait; beyond that its answer is given to the caller."""


class Repeat(Enum):
    """What a repetition of a request can do."""

    SAFE = "safe"
    """Made twice it does no more than once: any passing failure is tried again."""

    ANSWERED = "answered"
    """Made twice it may cost twice: again only where the server answered that it failed, or was never reached."""

    REFUSED = "refused"
    """Made twice it may do harm: again only where the server refused to begin (429), or was never reached."""


def may_repeat(error: BaseException, repeat: Repeat) -> bool:
    """Whether a request that failed so is made again."""
    if isinstance(error, RateLimitError):
        return (error.retry_after or 0.0) <= LONGEST_ASKED
    if isinstance(error, AionvisionConnectionError):
        return error.code != "REDIRECTED" and (not error.sent or repeat is Repeat.SAFE)
    if isinstance(error, CircuitBreakerError):
        return False
    if isinstance(error, InvalidResponseError):
        return repeat is Repeat.SAFE and error.code != TOO_LARGE
    if isinstance(error, AionvisionTimeoutError):
        # Answered (504, 408, code TIMEOUT) or not: in both cases it may have been worked on.
        return repeat is Repeat.SAFE and error.code != "TIMEOUT"
    if isinstance(error, ServerError):
        return repeat is not Repeat.REFUSED and error.status in (500, 502, 503)
    return False


def retrying(
    may: Callable[[AionvisionError], bool], retries: int, delay: float, sleep: Any
) -> tenacity.AsyncRetrying:
    """A loop over tries, as long as `may` says so of a failure: exponential with full jitter from `delay` seconds, or as long as the server asks."""
    jitter = tenacity.wait_random_exponential(multiplier=delay, max=LONGEST_WAIT)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RateLimitError) else None
        return float(jitter(state)) if asked is None else asked

    return tenacity.AsyncRetrying(
        sleep=sleep,
        stop=tenacity.stop_after_attempt(retries + 1),
        wait=wait,
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, AionvisionError) and may(error)
        ),
        reraise=True,
    )
