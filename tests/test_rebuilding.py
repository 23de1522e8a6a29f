"""A lost ledger made anew: on any database, in any store, and while batches were being merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from crashes import Crash, crash_at
from made_library import MOMENT, NAMES, World, seen

from aion_dagster.errors import StorageError
from aion_dagster.rebuilding import ledger_problem, rebuild_ledger
from aion_dagster.storage import Store
from aion_dagster.storage.call_records import CallKey, Settlement
from aion_dagster.storage.ledger_erasure import FileVersion, content_mark, file_mark
from aion_dagster.values import FileRef


def a_world(place: Path | str, ledger_url: str | None = None) -> World:
    world = World(place, ledger_url)
    for number, name in enumerate(NAMES):
        world.write("pics", name, number)
        world.take_in()
    world.write("pics", NAMES[0], 7)
    world.take_in()
    return world


def test_a_ledger_on_postgres_is_made_anew(tmp_path: Path, postgres_database: str) -> None:
    world = a_world(tmp_path / "store", postgres_database)
    before = without_results(seen(world.config, world.store))
    engine = sa.create_engine(postgres_database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        emptied = "batches, files, results, operations, tombstones, counters"
        connection.execute(sa.text(f"TRUNCATE {emptied} CASCADE"))
        connection.execute(sa.text("DROP TABLE builds"))
        connection.execute(sa.text("INSERT INTO budgets VALUES ('library', 7, 1.5)"))
    assert "does not know 7 batches" in (ledger_problem(world.store) or "")
    told = rebuild_ledger(world.config, world.store, dry_run=True)
    assert "does not know 7 batches" in (ledger_problem(world.store) or "")
    assert rebuild_ledger(world.config, world.store) == told
    assert without_results(seen(world.config, world.store)) == before
    with engine.connect() as connection:
        assert connection.scalars(sa.text("SELECT calls FROM budgets")).all() == [7]
        assert sa.inspect(connection).get_schema_names() == ["information_schema", "public"]
    world.write("pics", "more.jpg", 9)
    world.take_in()
    assert len(world.store.ledger.batches()) == 8


def test_a_library_of_its_own_on_postgres_is_made_anew(
    tmp_path: Path, postgres_database: str
) -> None:
    world = a_world(tmp_path / "store", postgres_database)
    other = Store.open(tmp_path / "store", library="cats", ledger_url=postgres_database)
    assert rebuild_ledger(world.config, other).batches == 0
    assert len(world.store.ledger.batches()) == 7


def test_a_store_in_a_bucket_tells_its_ledger(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    world = World(f"s3://{bucket}/library")
    for number, name in enumerate(NAMES[:2]):
        world.write("pics", name, number)
        world.take_in()
    before = without_results(seen(world.config, world.store))
    world.store.close()
    for file in world.store.local.glob("ledger.sqlite*"):
        file.unlink()
    with Store.open(world.store.root.as_uri()) as store:
        rebuild_ledger(world.config, store)
        assert without_results(seen(world.config, store)) == before


def test_manifests_of_batches_that_never_were_are_passed_over(tmp_path: Path) -> None:
    world = a_world(tmp_path / "store")
    files = [world.versions["pics", name][0] for name in NAMES[:2]]
    world.store.manifests.write("pics-20250101-000000000000", files)
    done = rebuild_ledger(world.config, world.store)
    assert done.passed_over == ("pics-20250101-000000000000",)
    assert done.batches == 7


def test_what_was_forgotten_stays_out(tmp_path: Path) -> None:
    world = a_world(tmp_path / "store")
    file = FileRef("pics", "file:///pics/z.jpg", "z.jpg", "1", 1, MOMENT)
    mark = file_mark(FileVersion(file.source, file.uri, file.version))
    place = world.store.root / "forgotten" / "0.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"format": 1, "marks": [mark.hex()], "forgotten_at": "2026-01-01"}))
    rebuild_ledger(world.config, world.store)
    assert world.store.ledger.without_forgotten([file]) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_marks_and_journal_of_a_ledger_that_can_be_read_are_carried_over(
    tmp_path: Path, dry_run: bool
) -> None:
    world = a_world(tmp_path / "store")
    ledger = world.store.ledger
    mark = content_mark("a" * 64)
    ledger.note_forgotten([mark])
    calls = ledger.paid_calls("a run")
    key = CallKey("b" * 64, "describe", "1", "an engine")
    calls.begin([key])
    calls.settled({key: Settlement(payload={"said": "yes"}, credits=2.0)})
    ledger.pace("an account", 60).claim()
    before = ledger.calls_about("b" * 64)
    assert len(before) == 1
    done = rebuild_ledger(world.config, world.store, dry_run=dry_run)
    assert done.carried >= 2
    assert not [*(tmp_path / "store").glob("ledger.sqlite.re[ab]*")]
    with Store.open(tmp_path / "store") as store:
        assert store.ledger.forgotten_contents(["a" * 64]) == {"a" * 64}
        assert store.ledger.calls_about("b" * 64) == before


@pytest.mark.parametrize("boundary", [60, 200, 10_000])
def test_a_ledger_that_is_lost_meanwhile_is_made_anew(tmp_path: Path, boundary: int) -> None:
    world = World(tmp_path / "store")
    for number, name in enumerate(NAMES):
        world.write("pics", name, number)
        world.take_in()
    before = without_results(seen(world.config, world.store))
    try:
        with crash_at(boundary):
            world.compact()
    except Crash:
        pass
    world.store.close()
    for file in world.store.root.glob("ledger.sqlite*"):
        file.unlink()
    with Store.open(world.store.root) as store:
        rebuild_ledger(world.config, store)
        assert without_results(seen(world.config, store)) == before
        store.sweep()
        assert without_results(seen(world.config, store)) == before
        assert ledger_problem(store) is None


def without_results(facts: dict[str, Any]) -> dict[str, Any]:
    """But for results of an operation that no table tells of."""
    return {name: fact for name, fact in facts.items() if name != "results"}


def test_an_empty_database_is_not_taken_for_the_ledger_of_a_store(
    tmp_path: Path, postgres_database: str
) -> None:
    world = a_world(tmp_path / "store")
    rebuilt = Store.open(tmp_path / "store", ledger_url=postgres_database)
    with pytest.raises(StorageError, match="is empty, but the store has manifests of 7 batches"):
        _ = rebuilt.ledger
    assert "does not know 7 batches" in (ledger_problem(rebuilt) or "")
    rebuild_ledger(world.config, rebuilt)
    with Store.open(tmp_path / "store", ledger_url=postgres_database) as store:
        assert len(store.ledger.batches()) == 7


def test_a_first_run_that_was_killed_early_is_no_lost_ledger(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.write("pics", "a.jpg", 1)
    world.store.manifests.write("pics-20250101-000000000000", [*world.waiting.values()])
    with Store.open(tmp_path / "store") as store:
        assert store.ledger.batches() == []
