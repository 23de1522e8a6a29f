"""`aion-dagster gc`: lists first, removes when told to, leaves alone what is young."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aion_dagster import schemas
from aion_dagster.cli import main
from aion_dagster.storage.store import Store

LOST = "photos-20260101-0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with variants of a batch that nobody knows."""
    place = tmp_path / "store"
    with Store.open(place) as opened:
        opened.tables.write("variants", schemas.VARIANT_ROWS.empty_table(), batch=LOST)
        file = opened.tables.path("variants", LOST)
        assert isinstance(file, Path)
        os.utime(file, (1_600_000_000, 1_600_000_000))
    return place


def collect(store: Path, *arguments: str) -> int:
    return main(["gc", "--store", str(store), *arguments])


def test_it_lists_what_it_would_remove_and_removes_it_when_told_to(
    store: Path, capsys: Any
) -> None:
    file = store / "tables" / "variants" / f"batch={LOST}" / "part.parquet"
    size = file.stat().st_size
    assert collect(store) == 0
    said = capsys.readouterr().out
    assert f"table: 1 place, 1 file, {size} bytes" in said
    assert f"{file.parent}  2020-09-13 12:26 UTC" in said
    assert "nothing was removed: add --yes" in said
    assert file.is_file()

    assert collect(store, "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["files"], told["bytes"]) == (True, 1, size)
    assert [g["kind"] for g in told["garbage"]] == ["table"]
    assert not file.parent.exists()

    assert collect(store, "--yes") == 0
    assert "Everything in the store is referred to" in capsys.readouterr().out


def test_ledgers_that_were_replaced_go_when_they_are_old(store: Path, capsys: Any) -> None:
    file = store / "tables" / "variants" / f"batch={LOST}" / "part.parquet"
    os.utime(file)
    with Store.open(store) as opened:
        assert opened.ledger.batches() == []
    assert main(["ledger", "rebuild", "--force", "--store", str(store)]) == 0
    (kept,) = store.glob("ledger.sqlite.replaced-*[0-9]")
    capsys.readouterr()
    assert collect(store, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["garbage"] == []
    for each in store.glob("ledger.sqlite*"):
        os.utime(each, (1_600_000_000, 1_600_000_000))
    assert collect(store, "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {g["kind"] for g in told["garbage"]} == {"ledger"}
    assert str(kept) in {g["place"] for g in told["garbage"]}
    assert not [*store.glob("ledger.sqlite.*")]
    with Store.open(store) as opened:
        assert opened.ledger.batches() == []


def test_what_is_young_stays(store: Path, capsys: Any) -> None:
    file = store / "tables" / "variants" / f"batch={LOST}" / "part.parquet"
    os.utime(file)
    assert collect(store, "--yes") == 0
    assert file.is_file()
    assert collect(store, "--yes", "--older-than", "0") == 0
    assert not file.exists()
    capsys.readouterr()


def test_it_waits_for_nobody_when_told_so(store: Path, capsys: Any) -> None:
    with Store.open(store) as opened, opened.lock(exclusive=False, what="a run"):
        assert collect(store) == 0  # a look disturbs nobody
        assert collect(store, "--yes", "--no-wait") == 1
    assert "is in use by a run" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["-1", "soon", "nan"])
def test_hours_are_a_number(store: Path, hours: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        collect(store, "--older-than", hours)
    assert ended.value.code == 2
    assert "must be a number of hours" in capsys.readouterr().err
