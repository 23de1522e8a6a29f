"""The seam at which calls to others are noted: reserved before, sent, then settled or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CallKey:
    """What a call is known by: the same key asks the same of the same engine about the same bytes."""

    sha256: str
    operation: str
    parameters: str
    engine: str


class CallJournal(Protocol):
    """Told of every call, in this order: `reserve`, `sent` at each try, then `settled` or `failed`, once."""

    def reserve(self, key: CallKey) -> None:
        """The call is about to be made; may raise, where a budget is spent, and the call is not made."""
        ...

    def sent(self, key: CallKey) -> None:
        """The request goes out."""
        ...

    def settled(self, key: CallKey, remote_id: str | None) -> None:
        """An answer came and can be used."""
        ...

    def failed(self, key: CallKey, reason: str, *, retryable: bool) -> None:
        """No usable answer came."""
        ...


class NoJournal:
    """For calls that cost nothing: notes nothing."""

    def reserve(self, key: CallKey) -> None:
        """Nothing is noted."""

    def sent(self, key: CallKey) -> None:
        """Nothing is noted."""

    def settled(self, key: CallKey, remote_id: str | None) -> None:
        """Nothing is noted."""

    def failed(self, key: CallKey, reason: str, *, retryable: bool) -> None:
        """Nothing is noted."""
