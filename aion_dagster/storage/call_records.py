"""What is known of a paid call: its key, how it stands, what it brought and what it cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

BudgetScope = Literal["run", "day", "month", "library"]

NOT_TOLD: Final = "not told"
"""In place of credits that no answer named."""


@dataclass(frozen=True, slots=True)
class CallKey:
    """What a call is known by: the same key asks the same of the same engine about the same bytes."""

    sha256: str
    operation: str
    parameters: str
    engine: str

    @property
    def what(self) -> tuple[str, str]:
        """Operation and engine."""
        return self.operation, self.engine

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for the key."""
        text = "\0".join((self.sha256, self.operation, self.parameters, self.engine))
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Standing(StrEnum):
    """How a call stands when somebody wants to make it."""

    GRANTED = "granted"
    """It may be made: never made before, or failed in a way that may pass."""
    IN_DOUBT = "in_doubt"
    """It may be made again: it was sent and its answer never noted; whoever can look it up does so first."""
    ACCEPTED = "accepted"
    """The server has it (`remote_id`, `session_id`); only the result is missing."""
    SETTLED = "settled"
    """It was made; `payload` is its result."""
    FAILED = "failed"
    """It was made and will fail again; `reason` says why."""
    BUSY = "busy"
    """Another process is making it right now."""
    OVER_BUDGET = "over_budget"
    """It may not be made: `reason` names the cap that is reached."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that somebody wants to make, and what is known of it."""

    key: CallKey
    standing: Standing
    remote_id: str | None = None
    session_id: str | None = None
    payload: Mapping[str, Any] | None = None
    reason: str | None = None
    kind: str | None = None

    @property
    def may_send(self) -> bool:
        """Whether the call is to be made now, by whoever asked."""
        return self.standing in (Standing.GRANTED, Standing.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a call brought, and what it cost; the payload is anything that JSON can hold.

    `credits` is None where nobody told them.
    """

    payload: Mapping[str, Any] | None = None
    remote_id: str | None = None
    credits: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    milliseconds: float | None = None


@dataclass(slots=True)
class Tally:
    """What one process did in one journal so far.

    `hits` are answers that were had without a call; `told` are those that said what they cost in credits.
    """

    calls: int = 0
    hits: int = 0
    told: int = 0
    credits: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    latencies: list[float] = field(default_factory=list)

    def add(self, result: Settlement) -> None:
        """Count an answer."""
        if result.credits is not None:
            self.told += 1
            self.credits += result.credits
        self.input_tokens += result.input_tokens
        self.output_tokens += result.output_tokens
        if result.milliseconds is not None:
            self.latencies.append(result.milliseconds)


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent in a scope; None where it does not matter.

    `calls` is never exceeded, by however many processes. What a call costs in credits is known when it is over, so
    `credits` may be exceeded by the calls that were under way when it was reached.
    """

    per: BudgetScope
    calls: int | None = None
    credits: float | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls of a day, an operation and an engine added up to.

    `hits` counts answers that were had without a call; latencies are of answered calls, in milliseconds.
    """

    day: str
    operation: str
    engine: str
    calls: int
    settled: int
    failed: int
    in_doubt: int
    hits: int
    credits: float
    input_tokens: int
    output_tokens: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def credits_told(self) -> bool:
        """Whether any answer said what it cost in credits; no paid call costs none."""
        return self.credits > 0
