"""A store whose ledger is gone: nothing is taken in or counted anew, and nothing that was forgotten comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_library import draw_picture, tree

from aion_dagster.cli import main
from aion_dagster.resources.access import open_store
from aion_dagster.storage import Ledger, Store

COMMANDS = (
    ("run",),
    ("retry",),
    ("status",),
    ("costs",),
    ("gc", "--yes"),
    ("compact",),
    ("forget", "5.jpg", "--yes"),
    ("trace", "5.jpg"),
)


@pytest.fixture
def store(lived_in: Path, tmp_path: Path) -> Path:
    """A copy of a store in which everything was made."""
    return Path(shutil.copytree(lived_in, tmp_path / "store"))


def lose(store: Path) -> None:
    open_store.cache_clear()  # another process would not have it open either
    for file in store.glob("ledger.sqlite*"):
        file.unlink()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_on_a_store_without_its_ledger_says_what_restores_it(
    store: Path, capsys: Any, command: tuple[str, ...]
) -> None:
    lose(store)
    before = tree(store)
    capsys.readouterr()
    assert main([*command, "--store", str(store)]) == 1
    said = capsys.readouterr().err
    assert "ledger.sqlite is missing" in said
    assert f"aion-dagster ledger rebuild --store {store}" in said
    after = tree(store)
    assert {n for n in after if before.get(n) != after[n] and "lock" not in n} == set()


def test_a_ledger_that_was_made_empty_is_no_better(store: Path, capsys: Any) -> None:
    lose(store)
    with Ledger.at(store / "ledger.sqlite") as fresh:
        assert not fresh.batches()
    assert main(["run", "--store", str(store)]) == 1
    assert "ledger.sqlite is empty" in capsys.readouterr().err
    assert main(["ledger", "rebuild", "--store", str(store)]) == 0
    capsys.readouterr()
    assert main(["run", "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"] == 0


def test_what_was_forgotten_does_not_come_back_after_the_ledger_is_lost(
    tmp_path: Path, capsys: Any
) -> None:
    pictures, place = tmp_path / "pictures", tmp_path / "store"
    for i in range(3):
        draw_picture(pictures / f"{i}.jpg", i)
    options = ["--store", str(place), "--export", "csv"]
    assert main(["run", str(pictures), *options]) == 0
    assert main(["forget", str(pictures / "1.jpg"), "--store", str(place), "--yes"]) == 0
    assert main(["ledger", "rebuild", "--store", str(place), "--force"]) == 0
    lose(place)
    assert main(["run", "--store", str(place)]) == 1
    assert main(["ledger", "rebuild", "--store", str(place)]) == 0
    assert main(["run", "--store", str(place)]) == 0
    with Store.open(place) as store:
        names = store.tables.read("library")["name"].to_pylist()
    assert sorted(names) == ["0.jpg", "2.jpg"]
