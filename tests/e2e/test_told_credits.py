"""Credits and latencies of paid calls: shown where the platform tells them, and said not to be told where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aionvision_server.fixtures import Server
from remote_runs import configured, ready, rows
from small_library import Run

from aion_dagster.backends.aionvision_credits import told_credits
from aion_dagster.cli import main
from aion_dagster.resources.instance import embedded_instance


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


def costs(store: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["costs", "--store", str(store), *more]) == 0
    return capsys.readouterr().out


def metadata(store: Path, asset: str) -> dict[str, Any]:
    """What the newest materialization of an asset says."""
    with embedded_instance(str(store)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {k: v.value for k, v in event.asset_materialization.metadata.items()}


def test_what_the_answers_tell_is_in_the_journal_in_the_metadata_and_in_the_rows(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    aionvision.settings(credits_told=1.5)
    store = tmp_path / "store"
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision))
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision, prompt="Shapes?"))
    told = {r["operation"]: r for r in json.loads(costs(store, capsys, "--json"))}
    assert {op: r["credits"] for op, r in told.items()} == {"upload": 18.0, "describe": 18.0}
    assert all(r["credits_told"] and r["p50_ms"] and r["p95_ms"] for r in told.values())
    assert "36 credits" in costs(store, capsys)
    assert {r["credits"] for r in rows(store, "descriptions")} == {1.5}
    facts = metadata(store, "descriptions")
    assert (facts["credits"], facts["paid_calls"]) == (18.0, 12)
    assert facts["latency_p50_ms"] == 900


def test_where_no_answer_tells_them_nothing_is_made_up(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision))
    (told,) = json.loads(costs(store, capsys, "--json"))
    assert (told["credits"], told["credits_told"]) == (0.0, False)
    shown = costs(store, capsys)
    assert shown.count("not told") == 2
    assert metadata(store, "uploads")["credits"] == "not told"


def test_what_the_platform_says_of_the_account_stands_below_the_costs(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision, usage=True))
    assert "of the whole account: 12 credits from" in costs(store, capsys)
    assert "account" not in costs(store, capsys, "--until", "2020-01-01")


@pytest.mark.parametrize(
    ("answer", "credit"),
    [
        (None, None),
        ({}, None),
        ({"credits_used": 2}, 2.0),
        ({"credits": 0}, 0.0),
        ({"credits_used": None, "credits": 1.5}, 1.5),
        ({"credits": True}, None),
        ({"credits": "3"}, None),
        ({"credits": -1}, None),
        ({"credits": float("inf")}, None),
        ({"credits": float("nan")}, None),
    ],
)
def test_only_a_sensible_number_is_a_cost(
    answer: dict[str, Any] | None, credit: float | None
) -> None:
    assert told_credits(answer) == credit
