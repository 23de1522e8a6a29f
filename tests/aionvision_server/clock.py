"""The server's own time: it can be moved, stopped and run faster."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970 as the server sees them."""

    def __init__(self) -> None:
        self._real = self._shown = time.time()
        self.speed = 1.0

    def now(self) -> float:
        return self._shown + (time.time() - self._real) * self.speed

    def set(
        self, *, advance: float = 0.0, at: float | None = None, speed: float | None = None
    ) -> None:
        """`advance` moves it, `at` puts it, `speed` 0 stops it and 60 makes a second a minute."""
        shown = self.now() if at is None else at
        self._real, self._shown = time.time(), shown + advance
        if speed is not None:
            self.speed = speed


def stamp(seconds: float) -> str:
    """A moment as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def seconds_of(text: str) -> float:
    """A moment that a request names; without a zone it is in UTC."""
    value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
