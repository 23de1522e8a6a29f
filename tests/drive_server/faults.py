"""Faults on demand: which requests they hit, and what they do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .refusals import Refusal

HOW = ("refuse", "reset", "cut", "garbage", "hold")


@dataclass
class Fault:
    """One thing that goes wrong with requests of a method.

    Args:
        method: `files.list`, `files.get`, `files.download`, `files.export`, `changes.list`,
            `changes.getStartPageToken`, `token`; `*` for any.
        how: refuse (answer with `refusal`), reset (close without an answer), cut (close amid the body), garbage (a body
            that is no JSON), hold (call `meanwhile`, then answer as usual).
        after: requests of the method that go well first.
        times: how many are hit; None for all.
        about: only requests with this text in their path or parameters.
    """

    method: str
    refusal: Refusal | None = None
    how: str = "refuse"
    after: int = 0
    times: int | None = 1
    about: str = ""
    meanwhile: Callable[[], Any] | None = None
    hit: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        if self.how not in HOW or (self.how == "refuse") != (self.refusal is not None):
            raise ValueError(f"no fault {self.how!r} with {self.refusal!r}")


class Faults:
    """The faults that wait, and a count of what was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self.asked: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def count(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self.asked.clear()
            self.most_at_once = 0

    def asks(self, method: str, text: str) -> Fault | None:
        """Note a request; the fault that hits it."""
        with self._lock:
            self.asked[method] += 1
            for fault in self._waiting:
                if fault.method not in (method, "*") or fault.about not in text:
                    continue
                fault.seen += 1
                if fault.seen <= fault.after:
                    continue
                if fault.times is not None and fault.hit >= fault.times:
                    continue
                fault.hit += 1
                return fault
        return None

    def begins(self) -> None:
        with self._lock:
            self.at_once["now"] += 1
            self.most_at_once = max(self.most_at_once, self.at_once["now"])

    def ends(self) -> None:
        with self._lock:
            self.at_once["now"] -= 1
