"""The journal of paid calls: reserved against budgets, sent, accepted, settled or failed; nothing is paid twice."""

from __future__ import annotations

import socket
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import sqlalchemy as sa

from aion_dagster.storage import process
from aion_dagster.storage.call_records import Begun, CallKey, Cap, Settlement, Standing, Tally
from aion_dagster.storage.ledger_budgets import Budgets
from aion_dagster.storage.ledger_database import Database, chunks, now
from aion_dagster.storage.ledger_paces import SharedPace
from aion_dagster.storage.ledger_tables import CALLS
from aion_dagster.storage.reply_log import ReplyLog

LEASE: Final = timedelta(minutes=15)
"""How long a call stays with a process of another machine that says nothing more of it."""


class PaidCalls:
    """What one process notes of its paid calls, in one run; safe for several threads.

    The order for each call: `begin`, then `sent` before its bytes leave, `again` before each repetition, `accepted` where
    the server names a remote id before the result is there, and `settled` or `failed` at the end; `release` for a call
    that is not made after all. Whatever a dead process left unfinished is taken over by the next `begin`.
    """

    def __init__(
        self,
        database: Database,
        *,
        run: str,
        caps: Sequence[Cap] = (),
        clock: Callable[[], datetime] = now,
        replies: ReplyLog | None = None,
    ) -> None:
        """Note calls of `run`, within `caps`; `replies` keeps answers that wait for their turn in the ledger."""
        self._database = database
        self._budgets = Budgets(run, caps)
        self._run = run
        self._clock = clock
        self._replies = replies
        self._host = socket.gethostname()
        self._owner = f"{self._host}/{process.identity()}"
        self.tally = Tally()

    def look(self, keys: Sequence[CallKey]) -> list[Begun]:
        """How these calls stand, without beginning any."""
        self._settle_left()
        with self._database.read() as connection:
            rows = _rows(connection, keys)
            return [self._standing(key, rows.get(key.digest)) for key in keys]

    def begin(
        self, keys: Sequence[CallKey], *, lookup: bool = False, free: bool = False
    ) -> list[Begun]:
        """Say which of these calls may be made now, and reserve those; in one transaction.

        Args:
            keys: calls, all different; those that exceed a budget are the last ones.
            lookup: whether a call in doubt can be looked up at the server, so that making it again costs nothing
                more: it takes no further unit of the budget then.
            free: whether these calls cost nothing at all.

        Returns:
            How each stands, in the order of `keys`.
        """
        self._settle_left()
        with self._database.write() as connection:
            left = self._budgets.lock(connection, self._clock())
            rows = _rows(connection, keys)
            found = [self._standing(key, rows.get(key.digest)) for key in keys]
            taken = 0
            moment = self._clock()
            begun: list[Begun] = []
            spent: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
            for one in found:
                costs = one.standing is Standing.GRANTED or (
                    one.standing is Standing.IN_DOUBT and not lookup
                )
                # Reserved by a dead process and never sent: its unit is taken over.
                costs = costs and not free and not _is_reserved(rows.get(one.key.digest))
                if costs and taken >= left.calls:
                    begun.append(Begun(one.key, Standing.OVER_BUDGET, reason=left.reason))
                    continue
                taken += costs
                begun.append(one)
                self._take(connection, one, rows.get(one.key.digest), int(costs))
                hit = one.standing is Standing.SETTLED
                spent[one.key.what].update(calls=int(costs), hits=int(hit))
            for what, counts in spent.items():
                self._budgets.spend(
                    connection, moment, what, calls=counts["calls"], hits=counts["hits"]
                )
        self.tally.hits += sum(one.standing is Standing.SETTLED for one in begun)
        return begun

    def pace(self, name: str, requests_per_minute: int) -> SharedPace:
        """The pace of an account, shared by all processes of this ledger."""
        return SharedPace(self._database, name, requests_per_minute)

    def sent(self, keys: Iterable[CallKey]) -> None:
        """The bytes of these calls leave now."""
        listed = list(keys)
        self._update(listed, state="sent")
        self.tally.calls += len(listed)

    def again(self, key: CallKey) -> str | None:
        """The call is made once more; takes another unit of the budget.

        Returns:
            None, or the reason why no unit is left; the call must not be made then.
        """
        with self._database.write() as connection:
            left = self._budgets.lock(connection, self._clock())
            if left.calls < 1:
                return left.reason
            self._budgets.spend(connection, self._clock(), key.what, calls=1)
            connection.execute(
                CALLS.update()
                .where(CALLS.c.call_key == key.digest)
                .values(state="sent", units=CALLS.c.units + 1, updated_at=self._clock())
            )
        self.tally.calls += 1
        return None

    def refused(self, keys: Iterable[CallKey]) -> None:
        """The server refused to begin (too many requests, or was never reached): as if the call was not sent."""
        listed = list(keys)
        self._update(listed, state="reserved")
        self.tally.calls -= len(listed)

    def accepted(self, ids: Mapping[CallKey, tuple[str | None, str | None]]) -> None:
        """The server has these calls, under a remote id and a session id (either may be missing)."""
        with self._database.write() as connection:
            for key, (remote_id, session_id) in ids.items():
                connection.execute(
                    CALLS.update()
                    .where(CALLS.c.call_key == key.digest)
                    .values(
                        state="accepted",
                        remote_id=remote_id,
                        session_id=session_id,
                        updated_at=self._clock(),
                    )
                )

    def keep(self, results: Mapping[CallKey, Settlement]) -> None:
        """Write answers down in the instant in which they are read; `settled` follows, which may have to wait its turn."""
        if self._replies is not None:
            self._replies.keep(results)

    def settled(self, results: Mapping[CallKey, Settlement]) -> None:
        """These calls were answered; meant to be called at once, so it does not wait for the disk."""
        self.keep(results)
        with self._database.write(synced=False) as connection:
            for key, result in results.items():
                self._settle(connection, key.digest, key.what, result)
        if self._replies is not None:
            self._replies.noted(results)
        for result in results.values():
            self.tally.add(result)

    def _settle(
        self, connection: sa.Connection, digest: bytes, what: tuple[str, str], result: Settlement
    ) -> None:
        connection.execute(
            CALLS.update()
            .where(CALLS.c.call_key == digest)
            .values(
                state="settled",
                remote_id=sa.func.coalesce(result.remote_id, CALLS.c.remote_id),
                payload=_packed(result.payload),
                reason=None,
                kind=None,
                retryable=None,
                credits=CALLS.c.credits + (result.credits or 0.0),
                input_tokens=CALLS.c.input_tokens + result.input_tokens,
                output_tokens=CALLS.c.output_tokens + result.output_tokens,
                milliseconds=result.milliseconds,
                updated_at=self._clock(),
            )
        )
        self._budgets.spend(connection, self._clock(), what, result=result)

    def _settle_left(self) -> None:
        """Settle what dead processes read and did not live to note."""
        for place, answers in () if self._replies is None else self._replies.left():
            with self._database.write() as connection:
                for digest, result in answers:
                    query = sa.select(CALLS).where(CALLS.c.call_key == digest)
                    row = connection.execute(query).one_or_none()
                    # Who else found the file, or the dead process itself, may have noted it already.
                    if row is not None and row.state in ("sent", "accepted"):
                        self._settle(connection, digest, (row.operation, row.engine), result)
            place.unlink(missing_ok=True)

    def failed(self, key: CallKey, reason: str, *, kind: str, retryable: bool) -> None:
        """No usable answer came; `retryable` where another time may help."""
        self._update([key], state="failed", reason=reason, kind=kind[:80], retryable=retryable)

    def release(self, keys: Sequence[CallKey]) -> None:
        """These calls were reserved and are not made: their units are given back."""
        with self._database.write() as connection:
            self._budgets.lock(connection, self._clock())
            rows = _rows(connection, keys).values()
            mine = [r for r in rows if r.state == "reserved" and r.owner == self._owner]
            self._give_back(connection, mine)

    def take_over(self) -> int:
        """Give back what processes of this machine reserved and, being dead, will never send; how many calls."""
        with self._database.write() as connection:
            self._budgets.lock(connection, self._clock())
            query = sa.select(CALLS).where(CALLS.c.state == "reserved")
            dead = [r for r in connection.execute(query) if not self._is_at_work(r)]
            self._give_back(connection, dead)
        return len(dead)

    def forget_all(self) -> int:
        """Make all calls that failed for good possible again; how many."""
        final = (CALLS.c.state == "failed") & CALLS.c.retryable.is_(False)
        with self._database.write() as connection:
            done = connection.execute(CALLS.update().where(final).values(retryable=True))
        return int(done.rowcount)

    def _give_back(self, connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
        for row in rows:
            if row.held:
                self._budgets.refund(connection, row.run, row.day, (row.operation, row.engine))
            this = CALLS.c.id == row.id
            if row.units > row.held:
                connection.execute(
                    CALLS.update()
                    .where(this)
                    .values(state="failed", retryable=True, units=row.units - row.held, held=0)
                )
            else:
                connection.execute(CALLS.delete().where(this))

    def _standing(self, key: CallKey, row: sa.Row[Any] | None) -> Begun:
        if row is None:
            return Begun(key, Standing.GRANTED)
        if row.state == "settled":
            payload = None if row.payload is None else orjson.loads(zlib.decompress(row.payload))
            return Begun(key, Standing.SETTLED, row.remote_id, row.session_id, payload)
        if row.state == "failed":
            standing = Standing.GRANTED if row.retryable else Standing.FAILED
            return Begun(key, standing, row.remote_id, row.session_id, None, row.reason, row.kind)
        if row.owner != self._owner and self._is_at_work(row):
            return Begun(key, Standing.BUSY)
        if row.state == "accepted":
            return Begun(key, Standing.ACCEPTED, row.remote_id, row.session_id)
        standing = Standing.IN_DOUBT if row.state == "sent" else Standing.GRANTED
        return Begun(key, standing, row.remote_id, row.session_id)

    def _is_at_work(self, row: sa.Row[Any]) -> bool:
        """Whether the process that holds the call lives, as far as can be known."""
        host, _, identity = row.owner.partition("/")
        if host == self._host:
            return process.is_alive(identity)
        return bool(self._clock() - row.updated_at < LEASE)

    def _take(
        self, connection: sa.Connection, begun: Begun, row: sa.Row[Any] | None, units: int
    ) -> None:
        """Make the call ours."""
        if begun.standing not in (Standing.GRANTED, Standing.IN_DOUBT, Standing.ACCEPTED):
            return
        moment = self._clock()
        values: dict[str, Any] = {"owner": self._owner, "updated_at": moment}
        if not _is_reserved(row):
            values["held"] = units
        if begun.may_send:
            values["state"] = "reserved" if begun.standing is Standing.GRANTED else "sent"
        if units or row is None:
            values |= {"run": self._run, "day": moment.date().isoformat()}
        if row is None:
            connection.execute(CALLS.insert().values(**_fresh(begun.key), units=units, **values))
        else:
            values["units"] = row.units + units
            connection.execute(CALLS.update().where(CALLS.c.id == row.id).values(**values))

    def _update(self, keys: Iterable[CallKey], **values: Any) -> None:
        with self._database.write() as connection:
            for chunk in chunks(key.digest for key in keys):
                statement = CALLS.update().where(CALLS.c.call_key.in_(chunk))
                connection.execute(statement.values(updated_at=self._clock(), **values))


def _fresh(key: CallKey) -> dict[str, Any]:
    return {
        "call_key": key.digest,
        "sha256": key.sha256,
        "operation": key.operation,
        "parameters": key.parameters,
        "engine": key.engine,
        "credits": 0.0,
        "input_tokens": 0,
        "output_tokens": 0,
    }


def _rows(connection: sa.Connection, keys: Sequence[CallKey]) -> dict[bytes, sa.Row[Any]]:
    found: dict[bytes, sa.Row[Any]] = {}
    for chunk in chunks(key.digest for key in keys):
        query = sa.select(CALLS).where(CALLS.c.call_key.in_(chunk))
        found |= {bytes(row.call_key): row for row in connection.execute(query)}
    return found


def _is_reserved(row: sa.Row[Any] | None) -> bool:
    return row is not None and row.state == "reserved"


def _packed(payload: Mapping[str, Any] | None) -> bytes | None:
    return None if payload is None else zlib.compress(orjson.dumps(dict(payload)), 6)
