"""The seam at which paid calls are noted: begun before, sent, then settled or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from aion_dagster.client.pacing import Pacer, WindowPacer
from aion_dagster.storage.call_records import Begun, CallKey, Settlement, Standing

__all__ = ["Begun", "CallJournal", "CallKey", "NoJournal", "Settlement", "Standing"]


class CallJournal(Protocol):
    """Told of every call; `aion_dagster.storage.ledger_calls.PaidCalls` is the one that remembers."""

    def look(self, keys: Sequence[CallKey]) -> list[Begun]:
        """How these stand, without beginning any."""
        ...

    def begin(
        self, keys: Sequence[CallKey], *, lookup: bool = False, free: bool = False
    ) -> list[Begun]:
        """Which of these may be made now; those are reserved.

        `lookup`: one in doubt costs nothing more; `free`: none of them costs anything.
        """
        ...

    def pace(self, name: str, requests_per_minute: int) -> Pacer:
        """The pace of an account."""
        ...

    def sent(self, keys: Iterable[CallKey]) -> None:
        """The requests go out."""
        ...

    def again(self, key: CallKey) -> str | None:
        """The request goes out once more; the reason why it must not, where a budget is spent."""
        ...

    def refused(self, keys: Iterable[CallKey]) -> None:
        """The server did not begin with them: as if they were not sent."""
        ...

    def accepted(self, ids: Mapping[CallKey, tuple[str | None, str | None]]) -> None:
        """The server has them, under a remote id and a session id."""
        ...

    def keep(self, results: Mapping[CallKey, Settlement]) -> None:
        """Answers were read this instant; `settled` follows. Never waits, so that a death takes nothing along."""
        ...

    def settled(self, results: Mapping[CallKey, Settlement]) -> None:
        """Answers came and can be used."""
        ...

    def failed(self, key: CallKey, reason: str, *, kind: str, retryable: bool) -> None:
        """No usable answer came."""
        ...

    def release(self, keys: Sequence[CallKey]) -> None:
        """Those of them that were reserved and not sent are not made."""
        ...


class NoJournal:
    """For calls that cost nothing, and for scripts: remembers nothing, allows everything."""

    def look(self, keys: Sequence[CallKey]) -> list[Begun]:
        """Nothing is known of them."""
        return [Begun(key, Standing.GRANTED) for key in keys]

    def pace(self, _name: str, requests_per_minute: int) -> Pacer:
        """A pace of this process alone."""
        return WindowPacer(requests_per_minute)

    def begin(
        self,
        keys: Sequence[CallKey],
        *,
        lookup: bool = False,  # noqa: ARG002 - as `CallJournal`
        free: bool = False,  # noqa: ARG002 - as `CallJournal`
    ) -> list[Begun]:
        """All of them may be made."""
        return [Begun(key, Standing.GRANTED) for key in keys]

    def sent(self, keys: Iterable[CallKey]) -> None:
        """Nothing is noted."""

    def again(self, _key: CallKey) -> str | None:
        """It may be made again."""
        return None

    def refused(self, keys: Iterable[CallKey]) -> None:
        """Nothing is noted."""

    def accepted(self, ids: Mapping[CallKey, tuple[str | None, str | None]]) -> None:
        """Nothing is noted."""

    def keep(self, results: Mapping[CallKey, Settlement]) -> None:
        """Nothing is noted."""

    def settled(self, results: Mapping[CallKey, Settlement]) -> None:
        """Nothing is noted."""

    def failed(self, key: CallKey, reason: str, *, kind: str, retryable: bool) -> None:
        """Nothing is noted."""

    def release(self, keys: Sequence[CallKey]) -> None:
        """Nothing is noted."""
