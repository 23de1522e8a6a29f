"""`aion-dagster ledger rebuild`: after it the store is as before, and no run finds anything to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_library import Run, draw_picture, tree
from vision_server import GOOD, says, vision_server

from aion_dagster.cli import main
from aion_dagster.storage import Ledger, Store

Rebuild = Callable[..., dict[str, Any]]


@pytest.fixture
def rebuild(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rebuild:
    """`aion-dagster ledger rebuild --json`."""

    def call(*arguments: str, store: Path | str | None = None) -> dict[str, Any]:
        place = ["--store", str(store or tmp_path / "store"), "--json"]
        capsys.readouterr()
        code = main(["ledger", "rebuild", *arguments, *place])
        out, err = capsys.readouterr()
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    return call


@pytest.fixture
def store(lived_in: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(lived_in, tmp_path / "store"))


def facts(ledger: Ledger) -> dict[str, Any]:
    """What a ledger knows, but for numbers and moments."""
    assets = ("images", "variants", "annotations", "documents", "document_chunks", "library", "near_duplicates",
              "search_index", "labels", "dataset/main", "dataset/main/coco", "dataset/main/card")  # fmt: skip
    builds = {
        f"{asset} {partition}": (build.fingerprint, build.rows if asset != "search_index" else 0)
        for asset in assets
        for partition, build in ledger.builds(asset).items()
    }
    return {
        "batches": [(b.key, b.seq, b.file_count, b.manifest_digest, b.started_at is not None) for b in ledger.batches()],
        "current": sorted(ledger.current_versions()),
        "deleted": sorted(ledger.deletions()),
        "revision": ledger.revision(),
        "results": ledger.counts().results,
        **builds,
    }  # fmt: skip


def test_a_lost_ledger_is_made_anew_and_nothing_is_left_to_do(
    run: Run, rebuild: Rebuild, store: Path, tmp_path: Path
) -> None:
    with Ledger.at(store / "ledger.sqlite") as ledger:
        before = facts(ledger)
    exports = tree(store / "exports")
    for file in store.glob("ledger.sqlite*"):
        file.unlink()
    told = rebuild("--dry-run")
    assert "is missing" in told["problem"]
    assert not (store / "ledger.sqlite").exists()
    done = rebuild()
    assert done["rebuilt"] == told["rebuilt"]
    with Ledger.at(store / "ledger.sqlite") as ledger:
        assert facts(ledger) == before
    again = run()
    assert (again["files"], again["batches"]) == (0, 0)
    assert "no work was done" in again["output"]
    assert tree(store / "exports") == exports
    assert rebuild()["problem"] is None
    draw_picture(tmp_path / "more" / "new.jpg", 99)
    assert run(tmp_path / "more")["files"] == 1


def test_what_can_be_read_of_a_damaged_ledger_is_carried_over(
    rebuild: Rebuild, store: Path
) -> None:
    file = store / "ledger.sqlite"
    with Ledger.at(file) as ledger:
        before = facts(ledger)
    with closing(sqlite3.connect(file)) as source:
        source.execute("UPDATE budgets SET calls = 7")
        source.execute("DELETE FROM results")
        source.execute("DELETE FROM files WHERE batch_seq = 2")
        source.execute("DELETE FROM batches WHERE seq = 2")
        source.commit()
    done = rebuild()
    assert "does not know 1 batch with tables" in done["problem"]
    assert done["rebuilt"]["carried"] > 0
    assert Path(done["rebuilt"]["kept"]).is_file()
    with Ledger.at(file) as ledger:
        assert facts(ledger) == before
    with closing(sqlite3.connect(file)) as source:
        assert {row[0] for row in source.execute("SELECT calls FROM budgets")} == {7}
    file.write_bytes(file.read_bytes()[:9000] + b"\0" * 9000)
    assert rebuild()["rebuilt"]["batches"] == len(before["batches"])
    with Ledger.at(file) as ledger:
        assert facts(ledger) == before


def test_a_store_at_work_is_left_alone(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ledger", "rebuild", "--force", "--store", str(store)]
    with Store.open(store) as opened, opened.lock(exclusive=False, what="run 123"):
        assert main(command) == 1
    assert "is in use by run 123" in capsys.readouterr().err
    assert main(command) == 0
    assert "old ledger" in capsys.readouterr().out


def test_answers_that_were_paid_for_are_known_to_the_new_journal(
    run: Run, rebuild: Rebuild, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    for i in range(3):
        draw_picture(pictures / f"{i}.jpg", i)
    with vision_server(lambda _request, _number: says(GOOD)) as server:
        endpoint = {"base_url": server.url, "model": "m", "parallel": 1, "attempts": 1}
        config = tmp_path / "aion.yaml"
        config.write_text(
            json.dumps(
                {"endpoint": endpoint, "text_model": "none", "datasets": [{"exports": ["csv"]}]}
            )
        )
        run(pictures, "--config", config)
        for file in (tmp_path / "store").glob("ledger.sqlite*"):
            file.is_dir() or file.unlink()
        assert rebuild()["rebuilt"]["calls"] == 3
        shutil.copy(pictures / "1.jpg", pictures / "copy.jpg")
        again = run()
        assert (again["files"], again["paid_calls"], len(server.requests)) == (1, 0, 3)
