"""What the server writes down: every request, what was billed, and what went wrong on either side."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

LONGEST_LOG: Final = 200_000


@dataclass(slots=True)
class Entry:
    """One request. Times are real ones, so that they can be compared with those of other processes."""

    number: int
    connection: int
    method: str
    path: str
    arrived: float
    operation: str = ""
    hashes: list[str] = field(default_factory=list)
    accepted: float | None = None
    answered: float | None = None
    status: int | None = None
    delivered: bool | None = None
    fault: str | None = None
    billed: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """As JSON has it; `asdict` would count a Counter's items."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "billed": dict(self.billed)}


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that the specification does not allow, or an answer of this server that it does not."""

    operation: str
    reason: str
    refused: bool
    """Whether the request was refused for it; what the specification merely does not know is ignored."""


class Books:
    """Counts since the server began, or since `clear`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.log: deque[Entry] = deque(maxlen=LONGEST_LOG)
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.described: Counter[str] = Counter()
        """Descriptions by the SHA-256 of what was described."""
        self.refused: Counter[str] = Counter()
        """Answers of status 429 by their code."""
        self.faults: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.own_violations: list[Violation] = []
        self.failures: list[str] = []
        """Errors of this server itself."""
        self.skipped_uploads = 0
        self._number = 0

    def arrive(self, connection: int, method: str, path: str) -> Entry:
        self._number += 1
        entry = Entry(self._number, connection, method, path, time.time())
        self.log.append(entry)
        return entry

    def bill(self, entry: Entry, what: str, count: int = 1) -> None:
        """Something that costs the client money."""
        self.billed[what] += count
        entry.billed[what] += count

    def describe(self, entry: Entry, sha256: str) -> None:
        """A description was made."""
        self.bill(entry, "descriptions")
        self.described[sha256] += 1

    def counters(self) -> dict[str, Any]:
        lost = [entry for entry in self.log if entry.delivered is False]
        return {
            "requests": dict(self.requests),
            "statuses": dict(self.statuses),
            "billed": dict(self.billed),
            "descriptions_billed": self.billed["descriptions"],
            "agent_calls_billed": self.billed["agent_calls"],
            "completions_billed": self.billed["completions"],
            "described_more_than_once": {k: v for k, v in self.described.items() if v > 1},
            "replies_undelivered": len(lost),
            "undelivered_billed": dict(sum((entry.billed for entry in lost), Counter())),
            "refused_429": dict(self.refused),
            "faults": dict(self.faults),
            "violations": [asdict(v) for v in self.violations],
            "own_violations": [asdict(v) for v in self.own_violations],
            "failures": self.failures,
            "skipped_uploads": self.skipped_uploads,
        }
