"""Which batches of a large library are done, remembered from tick to tick, so that a tick looks at the others alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aion_dagster.planning import Planner

FEW: Final = 1_000
"""Libraries of fewer batches are looked at altogether: that takes no time."""

BELIEVED_SECONDS: Final = 600.0
"""After so long everything is looked at again. Until then a table that somebody deletes may go unnoticed."""

_CLOCKS: Final = timedelta(minutes=10)
"""How far clocks of machines may be apart that write to one ledger."""

_MOST: Final = 16


@dataclass(frozen=True, slots=True)
class _Memory:
    """Batches that were done.

    Attributes:
        looked_at: when everything was looked at, by this process's clock.
        read_at: when the builds were read that are known.
        builds: how many there were.
        done: keys of batches that needed nothing.
    """

    looked_at: float
    read_at: datetime
    builds: int
    done: frozenset[str]


_MEMORIES: OrderedDict[tuple[str, ...], _Memory] = OrderedDict()
"""By store and library, and by all that a batch is made from but its files: with other settings nothing is known."""


class Settled:
    """What this process knows of a library's batches."""

    def __init__(self, planner: Planner) -> None:
        """Look up what earlier ticks left, and which builds changed since."""
        store = planner.store
        self._key = (str(store.root), store.ledger_url or "", planner.signature)
        self._now = time.monotonic()
        self._read_at = datetime.now(UTC)
        self._before = _MEMORIES.get(self._key)
        if self._before is not None and self._now - self._before.looked_at > BELIEVED_SECONDS:
            self._before = None
        since = self._before.read_at - _CLOCKS if self._before is not None else None
        self._builds, self._changed = store.ledger.builds_since(since)
        if self._before is not None and self._builds < self._before.builds:
            self._before = None  # some were forgotten; nobody says which

    def without(self, batches: Iterable[str]) -> list[str]:
        """The batches that are not known to be done."""
        if self._before is None:
            return list(batches)
        done = self._before.done - self._changed
        return [batch for batch in batches if batch not in done]

    def note(
        self, batches: Collection[str], blocked: Collection[str], open_: Collection[str]
    ) -> None:
        """Remember that of these batches, which are all that there are, only some are blocked or need something."""
        if len(batches) < FEW:
            return
        looked_at = self._now if self._before is None else self._before.looked_at
        done = frozenset(batches).difference(blocked, open_)
        _MEMORIES[self._key] = _Memory(looked_at, self._read_at, self._builds, done)
        _MEMORIES.move_to_end(self._key)
        while len(_MEMORIES) > _MOST:
            _MEMORIES.popitem(last=False)
