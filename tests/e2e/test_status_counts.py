"""What `status` counts beside pictures: descriptions and why they are missing, documents, links."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from aionvision_server.fixtures import Server
from remote_runs import configured, ready
from small_library import Run, draw_picture

from aion_dagster.cli import main

UPLOAD = "POST /user-files/upload/stream-batch"


@pytest.fixture(autouse=True)
def key(aionvision: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    return ready(aionvision, monkeypatch)


def status(store: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["status", "--store", str(store), *more]) == 0
    return capsys.readouterr().out


def facts(store: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(status(store, capsys, "--json")))


def test_descriptions_documents_and_links_are_counted_by_what_became_of_them(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pictures / "notes.txt").write_text("A sentence about an oak.\n")
    (pictures / "empty.txt").write_text("")
    (pictures / "no picture.jpg").write_bytes(b"nothing")
    aionvision.fault("reject", about="-picture 03.jpg$", message="422: BAD", retryable=False)
    aionvision.fault("failing", "POST /user-files/links", about="/b$", message="404: gone")
    links = ["https://example.com/a", "https://example.com/b", "http://localhost/c"]
    more = {"library": {"documents": ["txt"]}, "links": links}
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision, **more))
    told = facts(tmp_path / "store", capsys)
    assert told["descriptions"] == {
        "by_status": {"completed": 11, "failed": 1},
        "missing": {"422: BAD": 1},
    }
    assert told["documents"] == {"completed": 1, "empty": 1}
    assert told["links"] == {"completed": 1, "failed": 1, "validation": 1}
    shown = yaml.safe_load(status(tmp_path / "store", capsys))
    assert {k: shown[k] for k in ("descriptions", "documents", "links")} == {
        k: told[k] for k in ("descriptions", "documents", "links")
    }


def test_a_picture_in_two_batches_is_counted_once_and_described_when_either_is(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    budget = {"budgets": {"library": {"calls": 10}}}
    config = configured(tmp_path / "aion.yaml", aionvision, library=budget)
    run(pictures, "--config", config)
    told = facts(tmp_path / "store", capsys)["descriptions"]
    assert told["by_status"] == {"completed": 10, "failed": 2}
    assert [n for reason, n in told["missing"].items() if "budget of 10 calls" in reason] == [2]
    told = facts(tmp_path / "store", capsys)
    assert told["budgets"] == {"library": {"calls_spent": 10, "calls_left": 0}}
    assert told["pictures_by_state"] == {"current": 12, "superseded": 0, "deleted": 0}
    for picture in sorted(pictures.rglob("*.jpg")):
        shutil.copy(picture, picture.with_name(f"copy of {picture.name}"))
    run(pictures, "--config", configured(tmp_path / "aion.yaml", aionvision))
    told = facts(tmp_path / "store", capsys)["descriptions"]
    assert told == {"by_status": {"completed": 12}, "missing": {}}


def test_pictures_that_were_superseded_or_deleted_are_told_apart(
    run: Run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(pictures, "--export", "none")
    gone, changed, *_ = sorted(pictures.rglob("*.jpg"))
    gone.unlink()
    draw_picture(changed, 77)
    run("--export", "none")
    told = facts(tmp_path / "store", capsys)
    assert told["files"] == {"ok": 13}
    assert told["pictures_by_state"] == {"current": 11, "superseded": 1, "deleted": 1}
    assert told["budgets"] == {}
    assert "superseded or deleted" in status(tmp_path / "store", capsys)
