"""`aion-dagster retry`: what failed for a time is tried again, with --all also what failed for good, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from aionvision_server.fixtures import Server
from small_library import Run

from aion_dagster.cli import main
from aion_dagster.storage.store import Store


def described_by_name(store: Path) -> dict[str, dict[str, Any]]:
    """Name of each picture's file, without folders → the row of its description."""
    tables = Store.open(store, create=False).tables
    (batch,) = tables.batches("images")
    names = {
        r["image_id"]: r["name"].rpartition("/")[2]
        for r in tables.read("images", batch=batch, columns=["image_id", "name"]).to_pylist()
    }
    rows = tables.read("descriptions", batch=batch).to_pylist()
    return {names[r["image_id"]]: r for r in rows}


def test_refused_uploads_are_sent_again_only_when_all_is_asked_for(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    aionvision: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIONVISION_API_KEY", aionvision.key)
    aionvision.plan("UNLIMITED")
    aionvision.described_at_once()
    aionvision.fault(
        "reject", about="-picture 03.jpg$", times=1, message="422: BAD_IMAGE", retryable=False
    )
    aionvision.fault(
        "reject", about="-picture 05.jpg$", times=1, message="503: try later", retryable=True
    )
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    remote = {"base_url": aionvision.url, "plan": "unlimited", "polling_interval": 0.02}
    config = {
        "backend": "aionvision",
        "aionvision": remote,
        "text_model": "none",
        "datasets": [{"exports": ["csv"]}],
    }
    (tmp_path / "aion.yaml").write_text(yaml.safe_dump(config))
    first = run(pictures, "--config", tmp_path / "aion.yaml")
    assert first["undescribed"] == {"422: BAD_IMAGE": 1, "503: try later": 1}

    store = ["--store", str(tmp_path / "store")]
    assert main(["retry", *store]) == 0
    told = capsys.readouterr()
    assert "paid     1 call" in told.out
    assert "1 x 422: BAD_IMAGE" in told.out
    assert main(["retry", *store]) == 0
    assert "no work was done" in capsys.readouterr().out
    assert main(["retry", "--all", *store]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("1 call that failed for good may be made again")
    assert "paid     1 call" in told.out
    described = described_by_name(tmp_path / "store")
    mark = described["picture 03.jpg"]["title"].rpartition(" ")[2]
    assert main(["search", mark, *store]) == 0
    assert "picture 03.jpg" in capsys.readouterr().out
    assert main(["retry", "--all", *store]) == 0
    assert "no work was done" in capsys.readouterr().out
    assert aionvision.counters()["remote_objects"] == {"image": 12}
    assert aionvision.counters()["descriptions_billed"] == 12


def test_a_store_that_is_not_there_is_said_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "mistyped"
    assert main(["retry", "--store", str(place)]) == 1
    assert str(place) in capsys.readouterr().err
    assert main(["run", "--store", str(place)]) == 2
    assert not place.exists()
