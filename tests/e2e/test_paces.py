"""The pace of an account that several processes share, held against a server that counts; and what no waiting helps."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from paced_work import ask_when_told
from paid_pictures import KEY_VARIABLE, originals, uploading

from aion_dagster.client import AionVision, SyncAionVision
from aion_dagster.client.errors import QuotaExceededError
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_spending import spending

SOAK = os.environ.get("AION_TEST_TIER") == "soak"
MINUTES = 10 if SOAK else 2
PER_MINUTE = 100
BEGIN = 1_800_000_000.0
ON_THE_WAY = (0.0, 0.25)
"""Seconds that the requests of either process need to arrive."""

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["aion_dagster.backends.aionvision", "aion_dagster.backends.endpoint"]
)


@pytest.mark.parametrize(
    ("counting", "kind"),
    [("sliding", "sqlite"), ("sliding", "postgres"), ("fixed", "sqlite"), ("bucket", "sqlite")],
)
def test_two_processes_use_what_a_plan_permits_and_are_not_refused(
    aionvision: Server, tmp_path: Path, request: pytest.FixtureRequest, counting: str, kind: str
) -> None:
    """Simulated: both always want more; the server's clock stands still and is put to each request's arrival."""
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgres":
        ledger = request.getfixturevalue("postgres_database")
    aionvision.plan("PROFESSIONAL")
    aionvision.settings(counting=counting)
    aionvision.clock(speed=0, at=BEGIN)
    pipes, processes = [], []
    for _ in ON_THE_WAY:
        pipe, theirs = FORKED.Pipe()
        arguments = (theirs, ledger, aionvision.url, aionvision.key, PER_MINUTE)
        processes.append(FORKED.Process(target=ask_when_told, args=arguments))
        processes[-1].start()
        pipes.append(pipe)
    end, last = BEGIN + 60 * MINUTES, BEGIN
    free = [BEGIN for _ in pipes]
    while min(free) < end:
        user = free.index(min(free))
        pipes[user].send(free[user])
        arrival = max(last, pipes[user].recv() + ON_THE_WAY[user])
        if arrival >= end:
            free[user] = end
            processes[user].kill()
            continue
        last = arrival
        aionvision.clock(at=arrival)
        pipes[user].send(None)
        pipes[user].recv()
        free[user] = arrival + 0.05
    for process in processes:
        process.join(60)
    counted = aionvision.counters()
    refused = sum(counted["refused_429"].values())
    served = sum(counted["requests"].values()) - refused
    print(f"{counting}, {kind}: {served} of {PER_MINUTE * MINUTES} served, {refused} refused")
    assert served >= 0.95 * PER_MINUTE * MINUTES
    assert refused <= 0.01 * (served + refused)


def _quota(client: SyncAionVision) -> Any:
    return client.uploads.check_quota(1)


def _upload(client: SyncAionVision) -> Any:
    return client.uploads.stream(b"\xff\xd8\xff", filename="a.jpg", skip_duplicates=True)


def _agent(client: SyncAionVision) -> Any:
    return client.agent_operations.synthesize("What is there?")


def _folder(client: SyncAionVision) -> Any:
    return client.folders.create("A folder")


@pytest.mark.parametrize("make", [_quota, _upload, _agent, _folder])
@pytest.mark.parametrize("status", [402, 429])
def test_a_spent_quota_is_never_asked_twice(
    aionvision: Server, make: Callable[[SyncAionVision], Any], status: int
) -> None:
    told = {"status": status, "code": "USAGE_LIMIT_EXCEEDED", "retry_after": 0}
    aionvision.fault("status", every=1, **told)
    with (
        SyncAionVision(aionvision.key, base_url=aionvision.url, retry_delay=0) as client,
        pytest.raises(QuotaExceededError),
    ):
        make(client)
    assert len(aionvision.log()) == 1


def test_the_asynchronous_client_asks_once_too(aionvision: Server) -> None:
    aionvision.fault("status", every=1, status=429, code="USAGE_LIMIT_EXCEEDED", retry_after=0)

    async def ask() -> None:
        async with AionVision(aionvision.key, base_url=aionvision.url, retry_delay=0) as client:
            await client.uploads.check_quota(1)

    with pytest.raises(QuotaExceededError):
        asyncio.run(ask())
    assert len(aionvision.log()) == 1


def test_uploads_over_the_quota_are_rows_and_take_nothing_of_the_budget(
    aionvision: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, aionvision.key)
    upload = "POST /user-files/upload/stream-batch"
    aionvision.fault(
        "status", upload, every=1, status=429, code="USAGE_LIMIT_EXCEEDED", retry_after=0
    )
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    backend = uploading(aionvision.url, PaidCalls(database, run="one"), upload_batch=2, parallel=1)
    rows = backend.upload(originals(range(10))).to_pylist()
    assert {(row["status"], row["error_type"], row["is_retryable"]) for row in rows} == {
        ("failed", "quota", True)
    }
    assert len(rows) == 10
    assert len(aionvision.log(upload)) == 1
    assert sum(spent.calls for spent in spending(database)) == 0
    database.close()
