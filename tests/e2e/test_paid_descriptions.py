"""Paid descriptions through the command line: what is answered stays, what failed for a time is asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from small_library import Run
from vision_server import GOOD, Reply, Request, refuses, says, vision_server

from aion_dagster.cli import main
from aion_dagster.storage.store import Store


def configured(path: Path, url: str, **more: object) -> Path:
    endpoint = {"base_url": url, "model": "m", "parallel": 1, "attempts": 1}
    data = {"endpoint": endpoint, "text_model": "none", "datasets": [{"exports": ["csv"]}], **more}
    path.write_text(yaml.safe_dump(data))
    return path


def described(store: Path) -> list[str]:
    opened = Store.open(store, create=False)
    return [
        status
        for batch in opened.tables.batches("descriptions")
        for status in opened.tables.read("descriptions", batch=batch)[
            "description_status"
        ].to_pylist()
    ]


def test_the_second_run_makes_only_the_call_that_may_succeed_now(
    run: Run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return {3: refuses(503), 5: refuses(422)}.get(number, says(GOOD))

    with vision_server(answer) as server:
        config = configured(tmp_path / "aion.yaml", server.url)
        first = run(pictures, "--config", config)
        assert first["paid_calls"] == len(server.requests) == 12
        rows = Store.open(tmp_path / "store", create=False).tables
        (batch,) = rows.batches("descriptions")
        failed = rows.read("descriptions", batch=batch).to_pylist()
        failed = [r for r in failed if r["description_status"] != "completed"]
        assert {r["description_is_retryable"] for r in failed} == {True, False}
        second = run(pictures, "--config", config)
        assert (second["paid_calls"], len(server.requests)) == (1, 13)
        third = run(pictures, "--config", config)
        assert (third["paid_calls"], len(server.requests)) == (0, 13)
        assert "Nothing new" in third["output"]
        capsys.readouterr()
        assert main(["retry", "--all", "--store", str(tmp_path / "store"), "--json"]) == 0
        assert len(server.requests) == 14
    assert described(tmp_path / "store") == ["completed"] * 12
    capsys.readouterr()
    assert main(["costs", "--store", str(tmp_path / "store"), "--json"]) == 0
    (spent,) = json.loads(capsys.readouterr().out)
    assert (spent["calls"], spent["settled"], spent["failed"]) == (14, 12, 0)


def test_at_a_cap_the_run_ends_with_what_is_finished_and_a_raised_one_continues(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    with vision_server(lambda *_: says(GOOD)) as server:
        capped = {"budgets": {"library": {"calls": 5}}}
        first = run(pictures, "--config", configured(tmp_path / "aion.yaml", server.url, **capped))
        assert (first["paid_calls"], first["errors"]) == (5, [])
        assert described(tmp_path / "store").count("completed") == 5
        assert first["exports"]
        raised = {"budgets": {"library": {"calls": 100}}}
        second = run(pictures, "--config", configured(tmp_path / "aion.yaml", server.url, **raised))
        assert (second["paid_calls"], len(server.requests)) == (7, 12)
    assert described(tmp_path / "store") == ["completed"] * 12


def test_a_refused_key_and_an_endpoint_that_is_gone_fail_the_run_and_spend_nothing(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    def answer(_request: Request, number: int) -> Reply:
        return refuses(401, "bad key") if number == 0 else says(GOOD)

    budget = {"budgets": {"library": {"calls": 2}}}
    with vision_server(answer) as server:
        config = configured(tmp_path / "aion.yaml", server.url, **budget)
        first = run(pictures, "--config", config, status=1)
        assert first["paid_calls"] == 0
        assert f"endpoint {server.url} refuses the key" in first["problems"]
        second = run("--config", config)
        assert (second["paid_calls"], len(server.requests)) == (2, 3)
        assert described(tmp_path / "store").count("completed") == 2
    raised = {"budgets": {"library": {"calls": 20}}}
    third = run("--config", configured(config, server.url, **raised), status=1)
    assert f"endpoint {server.url} (endpoint.base_url) cannot be reached" in third["problems"]
    assert third["paid_calls"] == 0
    assert described(tmp_path / "store").count("completed") == 2, "the rows of before are kept"
