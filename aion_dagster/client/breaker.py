"""A circuit breaker: a server that fails again and again is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from aion_dagster.client.errors import CircuitBreakerError

FAILURES: Final = 20
"""Failed tries in a row, over all requests of a client, after which the circuit opens."""

REST: Final = 30.0
"""Seconds for which it stays open; then one request tries again."""


class CircuitBreaker:
    """Counts failures in a row (no answer, or 5xx); M. Nygard, Release It!, 2007, names the states.

    Closed: everybody may ask. Open: nobody for `rest` seconds. Half open: one asks; its answer decides.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        rest: float = REST,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open after so many failures in a row, for so many seconds."""
        self._most = failures
        self._rest = rest
        self._clock = clock
        self._failed = 0
        self._opened = 0.0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Say whether a request may go out.

        Raises:
            CircuitBreakerError: not now.
        """
        if self._failed < self._most:
            return
        with self._lock:
            left = self._opened + self._rest - self._clock()
            if left > 0:
                raise CircuitBreakerError(
                    f"the server failed {self._failed} times in a row; it is asked again in {left:.0f} s",
                    retry_after=left,
                    code="CIRCUIT_OPEN",
                )
            # This one tries; the others wait for another period unless it succeeds.
            self._opened = self._clock()

    def succeeded(self) -> None:
        """The server answered."""
        if self._failed:
            with self._lock:
                self._failed = 0

    def failed(self) -> None:
        """No answer, or the server's failure."""
        with self._lock:
            self._failed += 1
            if self._failed >= self._most:
                self._opened = self._clock()
