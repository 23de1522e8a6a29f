"""The journal of paid calls, its budgets and the shared pace, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.storage.call_records import CallKey, Cap, Settlement, Standing
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database
from aion_dagster.storage.ledger_paces import SharedPace
from aion_dagster.storage.ledger_spending import percentile, spending

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


def key(number: int, parameters: str = "p") -> CallKey:
    return CallKey(f"{number:064x}", "describe", parameters, "model@host")


def keys(count: int) -> list[CallKey]:
    return [key(n) for n in range(count)]


def standings(calls: PaidCalls, wanted: list[CallKey], **how: Any) -> list[str]:
    return [begun.standing.value for begun in calls.begin(wanted, **how)]


def test_a_settled_call_is_not_made_again_and_its_result_comes_back(database: Database) -> None:
    calls = PaidCalls(database, run="one")
    assert standings(calls, [key(1)]) == ["granted"]
    calls.sent([key(1)])
    result = Settlement({"description": "a cat · 猫"}, "remote-1", 0.5, 900, 70, 812.5)
    calls.settled({key(1): result})
    (again,) = PaidCalls(database, run="two").begin([key(1)])
    assert (again.standing, again.remote_id) == (Standing.SETTLED, "remote-1")
    assert again.payload == {"description": "a cat · 猫"}
    assert standings(calls, [key(1, "other parameters")]) == ["granted"]
    (spent,) = [s for s in spending(database) if s.settled]
    assert (spent.calls, spent.hits, spent.credits, spent.input_tokens) == (2, 1, 0.5, 900)
    assert (spent.p50_ms, spent.p95_ms) == (812.5, 812.5)


def test_a_call_that_failed_for_good_stays_failed_until_it_is_forgotten(database: Database) -> None:
    calls = PaidCalls(database, run="one")
    calls.begin(keys(2))
    calls.sent(keys(2))
    calls.failed(key(0), "422: no picture", kind="invalid", retryable=False)
    calls.failed(key(1), "503: later", kind="server", retryable=True)
    first, second = calls.begin(keys(2))
    assert (first.standing, first.reason, first.kind) == (
        Standing.FAILED,
        "422: no picture",
        "invalid",
    )
    assert second.standing is Standing.GRANTED
    assert calls.forget_all() == 1
    assert standings(calls, [key(0)]) == ["granted"]


def _die_with(url: str, steps: tuple[str, ...], number: int) -> None:
    calls = PaidCalls(Database(url), run="dead")
    calls.begin([key(number)])
    if "sent" in steps:
        calls.sent([key(number)])
    if "accepted" in steps:
        calls.accepted({key(number): ("remote", "session")})
    os.kill(os.getpid(), signal.SIGKILL)


def _run(target: Any, *args: Any) -> Any:
    process = SPAWN.Process(target=target, args=args)
    process.start()
    return process


@pytest.mark.parametrize(
    ("steps", "standing", "units"),
    [((), "granted", 1), (("sent",), "in_doubt", 2), (("sent", "accepted"), "accepted", 1)],
)
def test_what_a_killed_process_began_is_taken_over(
    url: str, database: Database, steps: tuple[str, ...], standing: str, units: int
) -> None:
    process = _run(_die_with, url, steps, 1)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    calls = PaidCalls(database, run="next")
    (begun,) = calls.begin([key(1)])
    assert begun.standing.value == standing
    if standing == "accepted":
        assert (begun.remote_id, begun.session_id) == ("remote", "session")
    assert sum(s.calls for s in spending(database)) == units


def test_looking_up_a_call_in_doubt_takes_no_further_unit(url: str, database: Database) -> None:
    _run(_die_with, url, ("sent",), 1).join(60)
    calls = PaidCalls(database, run="next", caps=[Cap("library", calls=1)])
    assert standings(calls, [key(1), key(2)], lookup=True) == ["in_doubt", "over_budget"]


def test_what_dead_processes_reserved_and_never_sent_is_given_back(
    url: str, database: Database
) -> None:
    _run(_die_with, url, (), 1).join(60)
    calls = PaidCalls(database, run="next", caps=[Cap("library", calls=1)])
    assert standings(calls, [key(2)]) == ["over_budget"]
    assert calls.take_over() == 1
    assert standings(calls, [key(2)]) == ["granted"]


def _hold(url: str, ready: Any, over: Any) -> None:
    calls = PaidCalls(Database(url), run="other")
    calls.begin([key(1)])
    calls.sent([key(1)])
    ready.set()
    over.wait(60)
    calls.settled({key(1): Settlement({"by": "other"})})


def test_a_call_that_another_process_makes_is_left_to_it(url: str, database: Database) -> None:
    ready, over = SPAWN.Event(), SPAWN.Event()
    process = _run(_hold, url, ready, over)
    assert ready.wait(60)
    calls = PaidCalls(database, run="mine")
    assert standings(calls, [key(1), key(2)]) == ["busy", "granted"]
    over.set()
    process.join(60)
    assert standings(calls, [key(1)]) == ["settled"]


def test_a_process_of_another_machine_keeps_a_call_for_the_time_of_a_lease(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    PaidCalls(database, run="far", clock=lambda: moment).begin([key(1)])
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    for later, standing in ((timedelta(minutes=14), "busy"), (timedelta(minutes=16), "granted")):
        calls = PaidCalls(database, run="near", clock=lambda later=later: moment + later)
        assert standings(calls, [key(1)]) == [standing]


def _spend(url: str, first: int, made: Any) -> None:
    calls = PaidCalls(Database(url), run="shared", caps=[Cap("run", calls=60)])
    count = 0
    for start in range(first, first + 50, 5):
        wanted = [key(n) for n in range(start, start + 5)]
        begun = [b.key for b in calls.begin(wanted) if b.may_send]
        calls.sent(begun)
        count += len(begun)
        calls.settled({one: Settlement({}) for one in begun})
    made.put(count)


def test_four_processes_stay_within_one_budget_and_use_all_of_it(
    url: str, database: Database
) -> None:
    made = SPAWN.Queue()
    processes = [_run(_spend, url, 50 * n, made) for n in range(4)]
    assert sum(made.get(timeout=120) for _ in processes) == 60
    for process in processes:
        process.join(60)
    assert sum(s.calls for s in spending(database)) == 60
    raised = PaidCalls(database, run="shared", caps=[Cap("run", calls=61)])
    every = standings(raised, keys(200))
    assert [every.count(s) for s in ("settled", "granted", "over_budget")] == [60, 1, 139]


def test_repetitions_count_against_the_budget(database: Database) -> None:
    calls = PaidCalls(database, run="one", caps=[Cap("day", calls=2)])
    calls.begin([key(1)])
    calls.sent([key(1)])
    assert calls.again(key(1)) is None
    reason = calls.again(key(1))
    assert reason is not None
    assert "budget of 2 calls for today" in reason


def test_credits_stop_calls_once_they_are_spent(database: Database) -> None:
    calls = PaidCalls(database, run="one", caps=[Cap("month", credits=1.0)])
    calls.begin([key(1)])
    calls.settled({key(1): Settlement({}, credits=1.25)})
    (begun,) = calls.begin([key(2)])
    assert begun.standing is Standing.OVER_BUDGET
    assert begun.reason is not None
    assert "budget of 1 credits for this month" in begun.reason


def test_a_new_day_has_a_new_budget(database: Database) -> None:
    moments = [datetime(2026, 1, 31, 23, 59, tzinfo=UTC)]
    calls = PaidCalls(database, run="one", caps=[Cap("day", calls=1)], clock=lambda: moments[-1])
    assert standings(calls, keys(2)) == ["granted", "over_budget"]
    moments.append(moments[0] + timedelta(minutes=2))
    assert standings(calls, [key(1)]) == ["granted"]


def test_released_calls_cost_nothing(database: Database) -> None:
    calls = PaidCalls(database, run="one", caps=[Cap("library", calls=2)])
    calls.begin(keys(2))
    calls.sent([key(0)])
    calls.release(keys(2))
    assert standings(calls, [key(2), key(3)]) == ["granted", "over_budget"]


def test_a_refused_call_is_as_if_it_was_not_sent(url: str, database: Database) -> None:
    calls = PaidCalls(database, run="one")
    calls.begin([key(1)])
    calls.sent([key(1)])
    calls.refused([key(1)])
    calls.release([key(1)])
    assert sum(s.calls for s in spending(database)) == 0


class _Server:
    """Admits so many requests in any minute, and counts those that it refused."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.admitted: deque[float] = deque()
        self.served = self.refused = 0

    def ask(self, moment: float) -> None:
        while self.admitted and self.admitted[0] <= moment - 60:
            self.admitted.popleft()
        if len(self.admitted) >= self.per_minute:
            self.refused += 1
            return
        self.admitted.append(moment)
        self.served += 1


def test_two_users_of_a_pace_use_what_is_permitted_and_no_more(
    url: str, database: Database
) -> None:
    """Simulated: 100 a minute, two processes that always want more, up to 0.3 s on the way."""
    moment = [1_000_000.0]
    other = Database(url)
    paces = [SharedPace(d, "account", 100, clock=lambda: moment[0]) for d in (database, other)]
    arrivals: list[float] = []
    free = [moment[0], moment[0]]
    minutes = 10
    count = 0
    while True:
        user = 0 if free[0] <= free[1] else 1
        moment[0] = free[user]
        if moment[0] >= 1_000_000.0 + 60 * minutes:
            break
        wait = paces[user].claim()
        arrivals.append(moment[0] + wait + (count * 7 % 4) / 10)
        free[user] = moment[0] + wait + 0.05
        count += 1
    server = _Server(100)
    for arrival in sorted(a for a in arrivals if a < 1_000_000.0 + 60 * minutes):
        server.ask(arrival)
    assert server.served >= 0.95 * 100 * minutes
    assert server.refused <= 0.01 * (server.served + server.refused)
    other.close()


def test_a_limit_that_the_server_names_and_a_hold_are_heeded_by_everybody(
    url: str, database: Database
) -> None:
    moment = [2_000_000.0]
    other = Database(url)
    first, second = (
        SharedPace(d, "account", 100, clock=lambda: moment[0]) for d in (database, other)
    )
    first.observe(200, {"x-ratelimit-limit": "2"})
    assert [second.claim(), first.claim()] == [0, 0]
    assert second.claim() == pytest.approx(60.5)
    first.hold(500)
    assert second.claim() == pytest.approx(500)
    other.close()


@given(st.lists(st.floats(0, 1e6), max_size=50), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    if not values:
        assert found is None
        return
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert sum(v < found for v in values) < share * len(values)
