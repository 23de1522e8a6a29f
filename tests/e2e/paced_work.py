"""A process that asks the server whenever it is told to, at moments of a simulated clock, as the shared pace permits."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection

from aion_dagster.client import SyncAionVision
from aion_dagster.client.errors import RateLimitError
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_paces import SharedPace


class ToldPace:
    """The shared pace; its waits are not slept through but told, and over when an answer comes."""

    def __init__(self, pipe: Connection, database: Database, per_minute: int) -> None:
        self.now = 0.0
        self._pipe = pipe
        self._pace = SharedPace(database, "account", per_minute, clock=lambda: self.now)

    def claim(self) -> float:
        self._pipe.send(self.now + self._pace.claim())
        self._pipe.recv()
        return 0.0

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        self._pace.observe(status, headers)

    def hold(self, seconds: float) -> None:
        self._pace.hold(seconds)


def ask_when_told(pipe: Connection, ledger: str, url: str, key: str, per_minute: int) -> None:
    """For each moment that comes: says when the request leaves, waits, makes it, and says whether it was served."""
    database = Database(ledger)
    pace = ToldPace(pipe, database, per_minute)
    with SyncAionVision(key, base_url=url, max_retries=0, pacer=pace) as client:
        while (moment := pipe.recv()) is not None:
            pace.now = moment
            try:
                client.uploads.check_quota(1)
            except RateLimitError:
                pipe.send(False)
            else:
                pipe.send(True)
    database.close()
