"""A pace that all processes of a ledger share: so many requests a minute for one account, and no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_tables import PACE_SLOTS, PACES

WINDOW: Final = 60.0
MARGIN: Final = 0.5
"""Seconds more than a minute that a slot stays taken: requests do not arrive evenly as they were sent."""


class SharedPace:
    """A sliding window of the slots taken last, in the ledger; fulfils the client's `Pacer`.

    A request may go out when the one `per_minute` places before it is a minute old. Servers that count in fixed minutes,
    in sliding ones or by a bucket that refills evenly admit that, and no request waits longer than it must.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        requests_per_minute: int,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`name` stands for the account (never the key itself); the clock counts seconds since 1970."""
        self._database = database
        self._name = name
        self._clock = clock
        with database.write() as connection:
            row = self._locked(connection, max(1, requests_per_minute))
            if row.per_minute != requests_per_minute:
                self._resize(connection, row, max(1, requests_per_minute))

    def claim(self) -> float:
        """Take the next free slot; returns the seconds to wait for it."""
        with self._database.write() as connection:
            row = self._locked(connection, 1)
            now = self._clock()
            slot = row.taken % row.per_minute
            this = (PACE_SLOTS.c.name == self._name) & (PACE_SLOTS.c.slot == slot)
            before = connection.scalar(sa.select(PACE_SLOTS.c.at).where(this))
            at = max(now, row.held_until, (before or 0.0) + WINDOW + MARGIN if before else 0.0)
            if before is None:
                connection.execute(PACE_SLOTS.insert().values(name=self._name, slot=slot, at=at))
            else:
                connection.execute(PACE_SLOTS.update().where(this).values(at=at))
            self._update(connection, taken=row.taken + 1)
        return float(at - now)

    def observe(self, _status: int, headers: Mapping[str, str]) -> None:
        """Take over the limit that the server names."""
        limit = headers.get("x-ratelimit-limit", "")
        if not limit.isdecimal() or int(limit) < 1:
            return
        with self._database.read() as connection:
            query = sa.select(PACES.c.per_minute).where(PACES.c.name == self._name)
            known = connection.scalar(query)
        if known != int(limit):
            with self._database.write() as connection:
                self._resize(connection, self._locked(connection, int(limit)), int(limit))

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long."""
        with self._database.write() as connection:
            row = self._locked(connection, 1)
            self._update(connection, held_until=max(row.held_until, self._clock() + seconds))

    def _locked(self, connection: sa.Connection, per_minute: int) -> sa.Row[Any]:
        """The pace's row, kept from other processes until the transaction ends."""
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
        fresh = insert(PACES).values(
            name=self._name, per_minute=per_minute, taken=0, held_until=0.0
        )
        connection.execute(fresh.on_conflict_do_nothing())
        query = sa.select(PACES).where(PACES.c.name == self._name).with_for_update()
        return connection.execute(query).one()

    def _resize(self, connection: sa.Connection, row: sa.Row[Any], per_minute: int) -> None:
        """Keep the newest slots under another limit."""
        if row.per_minute == per_minute:
            return
        mine = PACE_SLOTS.c.name == self._name
        times = sorted(connection.scalars(sa.select(PACE_SLOTS.c.at).where(mine)))[-per_minute:]
        connection.execute(PACE_SLOTS.delete().where(mine))
        if times:
            slots = [{"name": self._name, "slot": i, "at": at} for i, at in enumerate(times)]
            connection.execute(PACE_SLOTS.insert(), slots)
        self._update(connection, per_minute=per_minute, taken=len(times))

    def _update(self, connection: sa.Connection, **values: Any) -> None:
        connection.execute(PACES.update().where(PACES.c.name == self._name).values(values))
