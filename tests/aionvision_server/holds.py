"""Replies that are held back until a test lets them go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from .books import Entry


@dataclass
class Held:
    """A request whose reply waits."""

    entry: Entry
    accepted: bool
    subjects: list[str]
    released: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: str = "answer"


class Holds:
    """All requests that wait."""

    def __init__(self) -> None:
        self.waiting: list[Held] = []
        self.arrived = 0
        """Requests that were held so far."""
        self._changed = asyncio.Event()

    def add(self, held: Held) -> None:
        self.waiting.append(held)
        self.arrived += 1
        self._changed.set()

    def remove(self, held: Held) -> None:
        self.waiting.remove(held)

    async def until(self, count: int, timeout: float) -> bool:
        """Wait until `count` requests have been held, counted from the beginning; False when time is up."""
        try:
            async with asyncio.timeout(timeout):
                while self.arrived < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def release(self, outcome: str = "answer") -> int:
        """Let all go: "answer" sends their replies, "reset" breaks their connections."""
        for held in self.waiting:
            held.outcome = outcome
            held.released.set()
        return len(self.waiting)
