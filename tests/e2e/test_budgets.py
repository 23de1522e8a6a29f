"""One budget for four processes, by what the server counted: never a call more, every row kept, a raised cap goes on."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aionvision_server.fixtures import Server
from paid_pictures import COMPLETION, KEY_VARIABLE, UPLOAD
from paid_work import work, work_and_tell

from aion_dagster.backends.paid import BudgetSpentError
from aion_dagster.resources.aionvision import AionvisionResource
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_spending import spending

SOAK = os.environ.get("AION_TEST_TIER") == "soak"
ITEMS = 1000 if SOAK else 100
BUDGET = 300 if SOAK else 30
PROCESSES = 4

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["aion_dagster.backends.aionvision", "aion_dagster.backends.endpoint"]
)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def server(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(KEY_VARIABLE, aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    yield aionvision
    aionvision.assert_clean()


def finished(found: list[tuple[str, Any]], kind: str) -> set[str]:
    """What was had of a kind; every item has a row, and all others say that the budget is spent."""
    values = [value for one, value in found if one == kind]
    assert len(values) == ITEMS
    return {value for value in values if value != "budget"}


def test_four_processes_pay_what_the_budget_allows_and_one_more_when_it_is_raised_by_one(
    server: Server, ledger: str
) -> None:
    places = (ledger, server.url, server.endpoint_url)
    queue = FORKED.Queue()
    processes = [
        FORKED.Process(
            target=work_and_tell, args=(queue, *places, ITEMS, BUDGET, ITEMS // PROCESSES * n)
        )
        for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    told = [queue.get(timeout=280) for _ in processes]
    for process in processes:
        process.join(60)
    counted = server.counters()
    assert counted["remote_objects"] == {"image": BUDGET}
    assert (counted["descriptions_billed"], counted["completions_billed"]) == (BUDGET, BUDGET)
    had = {k: set().union(*(finished(t, k) for t in told)) for k in ("upload", "endpoint")}
    assert {kind: len(values) for kind, values in had.items()} == dict.fromkeys(had, BUDGET)

    requests = (len(server.log(UPLOAD)), len(server.log(COMPLETION)))
    more = work(*places, ITEMS, BUDGET + 1, 0)
    counted = server.counters()
    assert (counted["descriptions_billed"], counted["completions_billed"]) == (
        BUDGET + 1,
        BUDGET + 1,
    )
    after = (len(server.log(UPLOAD)), len(server.log(COMPLETION)))
    assert after == (requests[0] + 1, requests[1] + 1)
    for kind, values in had.items():
        now = finished(more, kind)
        assert values < now
        assert len(now) == BUDGET + 1
    database = Database(ledger)
    assert sum(s.calls for s in spending(database)) == 2 * (BUDGET + 1)
    database.close()


def test_calls_of_a_teams_own_assets_stay_within_the_budget_and_are_had_again_for_nothing(
    server: Server, ledger: str
) -> None:
    refused: list[int] = []

    @dg.asset
    def answers(vision: AionvisionResource) -> None:
        for number in range(6):
            try:
                vision.once(
                    "synthesize",
                    {"intent": f"question {number}"},
                    lambda client, n=number: client.agent_operations.synthesize(f"question {n}"),
                )
            except BudgetSpentError:
                refused.append(number)

    def asked(calls: int) -> int:
        refused.clear()
        resource = AionvisionResource(
            settings={"base_url": server.url, "plan": "unlimited"},
            budgets={"library": {"calls": calls}},
            ledger=ledger,
        )
        assert dg.materialize([answers], resources={"vision": resource}).success
        return int(server.counters()["agent_calls_billed"])

    assert (asked(3), refused) == (3, [3, 4, 5])
    assert (asked(4), refused) == (4, [4, 5])
    assert (asked(9), refused) == (6, [])
    assert asked(9) == 6
