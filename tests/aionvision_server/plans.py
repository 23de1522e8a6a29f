"""Subscription plans: how fast, how much, how many at once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

WINDOW: Final = 60.0
NO_LIMIT: Final = 1_000_000_000
"""What a plan without a monthly limit answers; the sources do not say."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription allows; None for no limit."""

    name: str
    per_minute: int | None
    monthly: int | None
    batch: int
    larger_batch: int
    at_once: int


PLANS: Final = {
    plan.name: plan
    for plan in (
        Plan("FREE", 10, 1_000, 10, 10, 2),
        Plan("STARTER", 30, 10_000, 20, 50, 5),
        Plan("PROFESSIONAL", 100, 50_000, 20, 100, 10),
        Plan("ENTERPRISE", 500, None, 50, 200, 20),
        Plan("UNLIMITED", None, None, 50, 200, 1_000),
    )
}

Counting = Literal["sliding", "fixed", "bucket"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the limiter says of one request."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """When there is room again, seconds since 1970."""


class Limiter:
    """Requests of one key in a minute, counted in a sliding or a fixed minute, or by a bucket that refills."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque()
        self._tokens = -1.0
        self._filled = 0.0

    def turn(self, limit: int, now: float, counting: Counting) -> Turn:
        """One more request, unless it is one too many."""
        if counting == "bucket":
            return self._from_bucket(limit, now)
        start = now - WINDOW if counting == "sliding" else now - now % WINDOW
        while self._taken and self._taken[0] <= start:
            if counting == "fixed" and self._taken[0] == start:
                break
            self._taken.popleft()
        allowed = len(self._taken) < limit
        if allowed:
            self._taken.append(now)
        first = self._taken[0] if counting == "sliding" else start
        return Turn(allowed, limit, limit - len(self._taken), first + WINDOW)

    def _from_bucket(self, limit: int, now: float) -> Turn:
        rate = limit / WINDOW
        filled = limit if self._tokens < 0 else self._tokens + max(now - self._filled, 0) * rate
        self._tokens, self._filled = min(limit, filled), now
        allowed = self._tokens >= 1
        if allowed:
            self._tokens -= 1
        wait = max(1 - self._tokens, 0) / rate
        return Turn(allowed, limit, int(self._tokens), now + wait)
