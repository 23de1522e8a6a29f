"""How fast to ask: the protocol that a shared limiter fulfils, and one for a single client."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

WINDOW: Final = 60.0
"""Seconds that a plan's "requests per minute" counts over."""

MARGIN: Final = 0.5
"""Seconds more than the window that a slot stays taken: requests do not arrive evenly as sent."""


class Pacer(Protocol):
    """Who says when the next request may go out; asked by every request, safe for several threads."""

    def claim(self) -> float:
        """Take the next free slot; returns the seconds to wait for it, 0 for at once."""
        ...

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer: its status and its (case-insensitive) headers."""
        ...

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long: the server said that it has enough."""
        ...


class NoPacer:
    """As fast as answers come."""

    def claim(self) -> float:
        """At once."""
        return 0.0

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Nothing is learnt."""

    def hold(self, seconds: float) -> None:
        """Nothing is held."""


class WindowPacer:
    """At most so many requests in any minute, within one process: a sliding window of the slots taken last.

    A server that counts in fixed minutes, in sliding ones or by a bucket that refills evenly admits this pace.
    """

    def __init__(
        self, requests_per_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`requests_per_minute`: 1 or more."""
        self._clock = clock
        self._slots: deque[float] = deque(maxlen=max(1, requests_per_minute))
        self._held = 0.0
        self._lock = threading.Lock()

    def claim(self) -> float:
        """Take the next free slot; returns the seconds to wait for it."""
        with self._lock:
            now = self._clock()
            at = max(now, self._held)
            if len(self._slots) == self._slots.maxlen:
                at = max(at, self._slots[0] + WINDOW + MARGIN)
            self._slots.append(at)
            return at - now

    def observe(self, _status: int, headers: Mapping[str, str]) -> None:
        """Take over the limit that the server names."""
        limit = headers.get("x-ratelimit-limit", "")
        if limit.isdecimal() and int(limit) > 0:
            with self._lock:
                if int(limit) != self._slots.maxlen:
                    self._slots = deque(self._slots, maxlen=int(limit))

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long."""
        with self._lock:
            self._held = max(self._held, self._clock() + seconds)
