"""Plans: requests per minute on a clock that tests move."""

from __future__ import annotations

import pytest

from .asking import Asker, asking
from .plans import PLANS, WINDOW, Limiter

QUOTA = "/uploads/quota-check?file_count=1"


def statuses(ask: Asker, count: int) -> list[int]:
    return [ask.http.get(QUOTA).status_code for _ in range(count)]


@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
def test_so_many_requests_per_minute_are_answered(ask: Asker, counting: str) -> None:
    ask.server.plan("FREE")
    ask.server.settings(counting=counting)
    ask.server.clock(speed=0, at=60 * 30_000_000)
    assert statuses(ask, 12) == [200] * 10 + [429] * 2
    ask.server.clock(advance=60)
    assert statuses(ask, 11) == [200] * 10 + [429]
    assert ask.server.counters()["refused_429"] == {"RATE_LIMIT_ERROR": 3}


def test_a_refusal_tells_when_there_is_room(ask: Asker) -> None:
    ask.server.plan("FREE")
    now = ask.server.clock(speed=0, at=1_800_000_000)
    first = ask.http.get(QUOTA).headers
    assert (first["x-ratelimit-limit"], first["x-ratelimit-remaining"]) == ("10", "9")
    statuses(ask, 9)
    response = ask.http.get(QUOTA)
    assert response.headers["retry-after"] == "60"
    assert float(response.headers["x-ratelimit-reset"]) == now + 60
    ask.server.clock(advance=45)
    assert ask.http.get(QUOTA).headers["retry-after"] == "15"


def test_each_key_has_its_own_minute(ask: Asker) -> None:
    ask.server.plan("FREE")
    ask.server.clock(speed=0)
    other = "aion_other_0123456789abcdefghij"
    ask.server.add_key(other)
    assert statuses(ask, 11)[-1] == 429
    with asking(ask.server, Authorization=f"Bearer {other}") as second:
        assert statuses(second, 1) == [200]


def test_without_a_plan_nobody_is_slowed_down(ask: Asker) -> None:
    assert set(statuses(ask, 50)) == {200}
    assert "x-ratelimit-limit" not in ask.http.get(QUOTA).headers


def test_a_bucket_refills_evenly() -> None:
    limiter, now = Limiter(), 1000.0
    assert [limiter.turn(10, now, "bucket").allowed for _ in range(11)] == [True] * 10 + [False]
    turn = limiter.turn(10, now, "bucket")
    assert turn.reset == pytest.approx(now + WINDOW / 10)
    assert limiter.turn(10, now + WINDOW / 10, "bucket").allowed
    assert not limiter.turn(10, now + WINDOW / 10, "bucket").allowed


def test_plans_are_those_of_the_contract() -> None:
    limits = {name: (p.per_minute, p.monthly) for name, p in PLANS.items()}
    assert limits == {
        "FREE": (10, 1_000),
        "STARTER": (30, 10_000),
        "PROFESSIONAL": (100, 50_000),
        "ENTERPRISE": (500, None),
        "UNLIMITED": (None, None),
    }


def test_the_clock_can_run_faster(ask: Asker) -> None:
    begun = ask.server.clock(speed=1000)
    ask.http.get(QUOTA)
    assert ask.server.clock() > begun
