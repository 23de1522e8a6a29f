"""How fast to ask, and how long to wait before asking again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Final

from aion_dagster.client import answers

LONGEST_WAIT: Final = 60.0
"""Seconds that a server may have us wait before one request is tried again."""


class Pace:
    """At most so many requests a minute, evenly spread; None for as fast as answers come."""

    def __init__(self, requests_per_minute: int | None) -> None:
        """`requests_per_minute`: 1 or more, or None."""
        self._gap = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the next request may go out."""
        if not self._gap:
            return
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long: the server said that it has enough."""
        self._next = max(self._next, time.monotonic() + seconds)
        self._gap = self._gap or 0.001


def backoff(attempt: int) -> float:
    """Seconds before try `attempt` (1 is the first repetition): doubling from a half, up to 30, with full jitter.

    M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    return random.uniform(0.1, min(30.0, 0.5 * 2.0**attempt))  # noqa: S311 - no secret hangs on it


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date, at most `LONGEST_WAIT`; None without one."""
    seconds = answers.retry_after(headers)
    return None if seconds is None else min(seconds, LONGEST_WAIT)
