"""What a run tells a person at its end: what was paid, which pictures have no description and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from aionvision_server.fixtures import Server
from crawling.site import running_site
from small_library import Run
from vision_server import GOOD, refuses, says, vision_server

from aion_dagster.cli import main
from aion_dagster.storage.store import Store


def test_a_run_that_ends_at_a_budget_says_what_it_paid_and_what_it_left(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIONVISION_API_KEY", aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    remote = {"base_url": aionvision.url, "plan": "unlimited", "polling_interval": 0.02}
    config = {
        "backend": "aionvision",
        "aionvision": remote,
        "text_model": "none",
        "budgets": {"library": {"calls": 5}},
        "datasets": [{"exports": ["csv"]}],
    }
    (tmp_path / "aion.yaml").write_text(yaml.safe_dump(config))
    told = run(pictures, "--config", tmp_path / "aion.yaml")
    lines = told["output"].splitlines()
    assert "paid     5 calls ('costs' shows them by day)" in lines
    place = lines.index("  7 of 12 pictures have no description:")
    assert lines[place + 1].startswith("  7 x the budget of 5 calls for this library is spent")
    assert list(told["undescribed"].values()) == [7]
    last = lines[-2]
    assert last.startswith("missing  7 pictures without a description: the budget of 5 calls")
    assert str(tmp_path / "store" / "aion.yaml") in last
    told = run()
    assert "No new files; of what was left nothing could be made" in told["output"]
    assert list(told["undescribed"].values()) == [7]
    config["budgets"] = {}
    (tmp_path / "aion.yaml").write_text(yaml.safe_dump(config))
    told = run("--config", tmp_path / "aion.yaml")
    assert "paid     7 calls" in told["output"]
    assert told["undescribed"] == {}
    assert "no description" not in told["output"]


def test_nothing_is_said_of_payments_where_none_are_made(run: Run, pictures: Path) -> None:
    told = run(pictures, "--export", "csv")
    assert "\npaid " not in told["output"]
    assert "no description" not in told["output"]
    assert told["undescribed"] == {}


@pytest.mark.parametrize(("status", "advice"), [(503, "or the next run"), (413, "--all")])
def test_failures_are_the_last_word_and_say_how_to_try_again(
    run: Run, pictures: Path, tmp_path: Path, status: int, advice: str
) -> None:
    with vision_server(lambda _request, n: says(GOOD) if n else refuses(status)) as server:
        endpoint = {"base_url": server.url, "model": "m", "parallel": 1, "attempts": 1}
        more = {"text_model": "none", "datasets": [{"exports": ["csv"]}]}
        (tmp_path / "aion.yaml").write_text(yaml.safe_dump({"endpoint": endpoint, **more}))
        told = run(pictures, "--config", tmp_path / "aion.yaml")
    last = told["output"].splitlines()[-2]
    assert last.startswith(f"missing  1 picture without a description: HTTP {status}")
    assert f"aion-dagster retry --store {tmp_path / 'store'}" in last
    assert advice in last


def test_links_that_were_not_taken_are_told(run: Run, pictures: Path, tmp_path: Path) -> None:
    with running_site() as site:
        page = site.page("/chairs", "<title>Chairs</title><main><p>Oak and walnut.</p></main>")
        urls = [page, f"{site.url}/gone", "http://169.254.169.254/latest/meta-data/"]
        links = {"urls": urls, "allowed_networks": ["127.0.0.1"], "ports": [site.port]}
        config = {"links": links, "datasets": [{"exports": ["csv"]}]}
        (tmp_path / "aion.yaml").write_text(yaml.safe_dump(config))
        told = run(pictures, "--config", tmp_path / "aion.yaml")
    lines = told["output"].splitlines()
    assert "  2 of 3 links were not taken:" in lines
    assert "  1 x leads into an inner network" in lines
    assert sorted(told["links_not_taken"].values()) == [1, 1]
    assert lines[-2].startswith("missing  2 links not taken: ")


def test_a_reader_that_has_enough_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "aion_dagster", "status", "--store", str(tmp_path / "store")]
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_missing_key_of_an_endpoint_is_said_before_any_work(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("VISION_KEY", raising=False)
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "api_key_env": "VISION_KEY"}
    (tmp_path / "aion.yaml").write_text(yaml.safe_dump({"endpoint": endpoint}))
    store = tmp_path / "store"
    arguments = ["run", str(pictures), "--config", str(tmp_path / "aion.yaml")]
    assert main([*arguments, "--store", str(store)]) == 2
    assert "the environment variable VISION_KEY is not set" in capsys.readouterr().err
    assert not store.exists()
