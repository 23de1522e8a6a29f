"""The command line on a store in a bucket, with the ledger on PostgreSQL: only configuration differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_library import Run

from aion_dagster.cli import main
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.store import Store


@pytest.fixture
def place(
    bucket: str, postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BucketPath:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    monkeypatch.setenv("AION_LEDGER_URL", postgres_database)
    return BucketPath(bucket, "library")


def test_pictures_become_tables_exports_and_an_index_in_a_bucket(
    run: Run,
    pictures: Path,
    labels: Path,
    place: BucketPath,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = str(place)
    arguments = ("--labels", labels, "--export", "coco,csv")
    first = run(pictures, *arguments, store=store)
    assert (first["ok"], first["errors"]) == (12, [])
    coco = BucketPath.parse(first["exports"]["coco"])
    parts = [p for p in coco.files() if p.name.startswith("instances_")]
    boxes = [a for p in parts for a in json.loads(p.read_bytes())["annotations"]]
    assert len(boxes) == 8
    assert len([p for p in coco.files() if p.suffix == ".jpg"]) == 12
    assert BucketPath.parse(first["report"]).read_bytes().lower().startswith(b"<!doctype html>")
    second = run(store=store)
    assert (second["files"], second["paid_calls"]) == (0, 0)
    assert "Nothing new" in second["output"]

    # Another machine: nothing but the bucket and the ledger.
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "another machine"))
    assert main(["search", "--color", "#808080", "--store", store, "--json"]) == 0
    capsys.readouterr()
    assert main(["status", "--store", store, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["pictures"] == 12
    third = run(pictures, store=store)
    assert (third["files"], third["errors"]) == (0, [])
    opened = Store.open(store)
    assert opened.tables.dataset("images").count_rows() == 12
    opened.close()


def test_a_store_in_use_by_another_machine_is_left_alone(
    pictures: Path,
    place: BucketPath,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The variable is as it was again before the lock takes its own away: what is left would let others in.
    with (
        Store.open(str(place)) as here,
        here.lock(what="a test"),
        pytest.MonkeyPatch.context() as elsewhere,
    ):
        elsewhere.setenv("AION_LOCAL", str(tmp_path / "another machine"))
        elsewhere.delenv("AION_STORE_LOCK")
        assert main(["run", str(pictures), "--store", str(place), "--no-wait"]) == 1
        assert "is in use by a test (pid " in capsys.readouterr().err
    assert main(["run", str(pictures), "--store", str(place), "--export", "none"]) == 0
