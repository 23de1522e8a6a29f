"""`aion-dagster compact`: fewer batches, the same library, and nothing for anybody to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from small_library import Run, draw_picture, tree

from aion_dagster.cli import main
from aion_dagster.compacting import Compacting, Limits
from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import build_definitions
from aion_dagster.resources.instance import embedded_instance
from aion_dagster.storage import Store

Compact = Callable[..., dict[str, Any]]


@pytest.fixture
def store(lived_in: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(lived_in, tmp_path / "store"))


@pytest.fixture
def compact(store: Path, capsys: pytest.CaptureFixture[str]) -> Compact:
    """`aion-dagster compact --json`."""

    def call(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        place = ["--store", str(store), "--older-than", "0", "--json"]
        code = main(["compact", *map(str, arguments), *place])
        out, err = capsys.readouterr()
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    return call


def seen(place: Path) -> dict[str, Any]:
    """All that readers see, but for the names of batches."""
    with Store.open(place, create=False) as store:
        tables: dict[str, Any] = {"library": _library(store)}
        for table in ("images", "annotations", "label_matches", "near_duplicates"):
            rows = store.tables.read(table)
            kept = rows.drop_columns("batch") if "batch" in rows.column_names else rows
            tables[table] = sorted(map(str, kept.to_pylist()))
        for table in ("variants", "color_analyses", "descriptions", "document_chunks"):
            rows = store.tables.read(table).drop_columns("batch").to_pylist()
            for row in rows:
                row.pop("generated_at", None)
                row.pop("processing_time_ms", None)
            tables[table] = sorted({str(row) for row in rows})
        return {
            **tables,
            "dataset": store.sets.current("dataset/main"),
            "exports": tree(store.root / "exports"),
            "current": sorted(v[:3] for v in store.ledger.current_versions()),
            "deleted": sorted(store.ledger.deletions()),
            "revision": store.ledger.revision(),
        }


def _library(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.tables.read("library").to_pylist()
    for row in rows:
        row.pop("batch")
        row["locations"] = [{k: v for k, v in p.items() if k != "batch"} for p in row["locations"]]
    return rows


def named(place: Path) -> set[str]:
    """The batches that library and dataset name."""
    with Store.open(place, create=False) as store:
        rows = store.tables.read("library", columns=["batch", "locations"]).to_pylist()
        images = store.sets.read("dataset/main")[0]["images"].to_pylist()
    places = [p for row in (*rows, *images) for p in row["locations"]]
    return {one["batch"] for one in (*rows, *places)}


def keys(place: Path) -> list[str]:
    with Store.open(place, create=False) as store:
        return [b.key for b in store.ledger.batches()]


def test_the_library_is_the_same_and_no_run_finds_anything_to_do(
    store: Path, compact: Compact, run: Run, tmp_path: Path
) -> None:
    before, old = seen(store), keys(store)
    told = compact("--batch-size", 30, "--dry-run")
    assert (seen(store), keys(store)) == (before, old)
    done = compact("--batch-size", 30)
    assert done["groups"] == told["groups"]
    assert done["merged_into"] == 1 == len(keys(store))
    assert sorted(done["renamed"]) == sorted(old)
    assert seen(store) == before
    with Store.open(store, create=False) as opened:
        (new,) = keys(store)
        assert set(opened.tables.read("library", columns=["batch"])["batch"].to_pylist()) == {new}
        assert opened.ledger.retired() == dict.fromkeys(old, new)
        assert set(opened.manifests.batches()) == {new, *old}
        assert {b for t in opened.tables.names() for b in opened.tables.batches(t)} == {new}
    assert "no work was done" in run()["output"]
    assert seen(store) == before
    assert compact("--batch-size", 30)["batches"] == 0
    draw_picture(tmp_path / "more" / "new.jpg", 99)
    shutil.copy(
        Path(before["current"][0][1].removeprefix("file://")), tmp_path / "more" / "old.jpg"
    )
    assert run(tmp_path / "more", "--batch-size", "2")["files"] == 2


def test_dagster_knows_the_merged_batches_alone_and_nothing_follows(
    store: Path, compact: Compact
) -> None:
    config = LibraryConfig.from_env(flags={"store": str(store)})
    definitions = build_definitions(config)
    with embedded_instance(str(store)) as instance:
        before = automation(definitions, instance, None)
    compact("--batch-size", 30)
    with embedded_instance(str(store)) as instance:
        assert instance.get_dynamic_partitions("batches") == keys(store)
        records = instance.get_materialized_partitions(dg.AssetKey("annotations"))
        assert set(keys(store)) <= set(records)
        assert automation(definitions, instance, before.cursor).total_requested == 0
        context = dg.build_sensor_context(
            instance_ref=instance.get_ref(), definitions=definitions, sensor_name="new_files"
        )
        tick = definitions.resolve_sensor_def("new_files").evaluate_tick(context)
        assert not tick.run_requests
        assert not tick.dynamic_partitions_requests
        assert not tick.asset_events


def automation(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: Any) -> Any:
    return dg.evaluate_automation_conditions(
        definitions,
        instance,
        asset_selection=dg.AssetSelection.assets("library", "near_duplicates", "search_index", "dataset/main",
                                                 "dataset/main/coco", "dataset/main/card"),
        cursor=cursor,
    )  # fmt: skip


def test_another_instance_learns_of_it_by_its_sensor(store: Path, compact: Compact) -> None:
    config = LibraryConfig.from_env(flags={"store": str(store)})
    definitions = build_definitions(config)
    with dg.instance_for_test() as instance:
        old = keys(store)
        instance.add_dynamic_partitions("batches", old)
        before = automation(definitions, instance, None)
        compact("--batch-size", 30)
        context = dg.build_sensor_context(
            instance_ref=instance.get_ref(), definitions=definitions, sensor_name="new_files"
        )
        tick = definitions.resolve_sensor_def("new_files").evaluate_tick(context)
        assert not tick.run_requests
        asked = {type(r).__name__: r.partition_keys for r in tick.dynamic_partitions_requests}
        assert sorted(asked["DeleteDynamicPartitionsRequest"]) == sorted(old)
        assert asked["AddDynamicPartitionsRequest"] == keys(store)
        instance.add_dynamic_partitions("batches", keys(store))
        for event in tick.asset_events:
            instance.report_runless_asset_event(event)
        assert automation(definitions, instance, before.cursor).total_requested == 0


def test_a_rebuilt_ledger_knows_which_batches_were_merged(
    store: Path, compact: Compact, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    compact("--batch-size", 4)
    assert named(store) <= set(keys(store))
    assert len(keys(store)) > 1
    compact("--batch-size", 30)
    before = seen(store)
    with Store.open(store) as opened:
        retired, batches = opened.ledger.retired(), keys(store)
    for file in store.glob("ledger.sqlite*"):
        file.unlink()
    assert main(["ledger", "rebuild", "--store", str(store)]) == 0
    capsys.readouterr()
    assert (seen(store), keys(store)) == (before, batches)
    with Store.open(store) as opened:
        assert opened.ledger.retired() == retired
    assert "no work was done" in run()["output"]


def test_batches_that_are_young_large_stale_or_blocked_stay(store: Path, compact: Compact) -> None:
    assert main(["compact", "--store", str(store)]) == 0  # younger than a week
    old = keys(store)
    assert compact("--batch-size", 3)["batches"] == 0 or len(keys(store)) < len(old)
    with Store.open(store) as opened:
        left = keys(store)
        opened.ledger.mark_blocked(left[0], "for a test")
        opened.ledger.forget_build("descriptions", left[-1])
    compact("--batch-size", 30)
    assert {left[0], left[-1]} <= set(keys(store))


def test_what_a_killed_command_did_not_tell_dagster_the_next_run_does(
    store: Path, run: Run
) -> None:
    config = LibraryConfig.from_env(flags={"store": str(store)})
    with Store.open(store) as opened:
        compacting = Compacting(config, opened)
        compacting.merge(compacting.groups(Limits(30, 10**9, timedelta(0))), lambda _batch: None)
    assert "no work was done" in run()["output"]
    with embedded_instance(str(store)) as instance:
        assert instance.get_dynamic_partitions("batches") == keys(store)
