"""Faults on demand: which requests they hit, and what they do."""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

BEFORE: Final = frozenset(
    {"status", "rate_limit", "html", "redirect", "reset_before", "hold_before"}
)
"""Nothing is done, unless `accepted` is given."""

AFTER: Final = frozenset(
    {"reset_after", "hold", "slow", "truncate", "cut", "wrong_types", "delay", "lost"}
)
"""The work is done and billed; what becomes of the reply is another matter."""

WITHIN: Final = frozenset({"stuck", "failing", "expire", "reject"})
"""The reply is a good one; what was set in motion comes to nothing."""

KINDS: Final = BEFORE | AFTER | WITHIN


@dataclass
class Fault:
    """One thing that goes wrong.

    Args:
        kind: one of `KINDS`.
        operation: a pattern of operations: `POST /user-files/upload/*`.
        nth: the nth request that fits, from 1.
        every: each nth one.
        probability: by chance, from `seed`.
        times: at most so often; by default once, unless `every` or `probability` is given.
        about: a regular expression that a file name, a hash, an id or a text of the request must match.
        options: what the kind needs: `status`, `code`, `message`, `retry_after`, `seconds`, `accepted`, `body`, …
    """

    kind: str
    operation: str = "*"
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    times: int | None = None
    about: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")
        if self.times is None and self.every is None and self.probability is None:
            self.times = 1
        self._chance = random.Random(self.seed)
        self._about = re.compile(self.about) if self.about else None
        self._operation = re.compile(fnmatch.translate(self.operation))

    @property
    def before(self) -> bool:
        """Whether the request is not worked on."""
        return self.kind in BEFORE and not self.options.get("accepted")

    def concerns(self, text: str) -> bool:
        """Whether a file name or a hash is meant."""
        return self._about is None or bool(self._about.search(text))

    def hits(self, operation: str, subjects: Sequence[str]) -> bool:
        """Whether this request is one; counts it."""
        if self.times is not None and self.fired >= self.times:
            return False
        if not self._operation.fullmatch(operation):
            return False
        if self._about is not None and not any(self.concerns(s) for s in subjects):
            return False
        self.seen += 1
        return (
            # Not only the nth: another fault may have come before this one there.
            (self.nth is None or self.seen >= self.nth)
            and (self.every is None or self.seen % self.every == 0)
            and (self.probability is None or self._chance.random() < self.probability)
        )


class Faults:
    """The faults that are waiting."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._number = 0

    def add(self, fault: Fault) -> int:
        self._number += 1
        fault.number = self._number
        self._faults.append(fault)
        return fault.number

    def remove(self, number: int | None = None) -> None:
        """One, or all."""
        self._faults = [f for f in self._faults if number is not None and f.number != number]

    def hitting(self, operation: str, subjects: Sequence[str]) -> list[Fault]:
        """The faults of a request: any that work within, and the first one of the others."""
        hits = [fault for fault in self._faults if fault.hits(operation, subjects)]
        others = [fault for fault in hits if fault.kind not in WITHIN]
        found = [fault for fault in hits if fault.kind in WITHIN] + others[:1]
        for fault in found:
            fault.fired += 1
        return found

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)
