"""New files become batches, partitions and runs: each once, whatever happens between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_library import coco
from watched_library import (
    Watch,
    configuration,
    copied_store,
    draw,
    requests,
    selected,
    store_held_elsewhere,
)

from aion_dagster.errors import SourceError
from aion_dagster.planning import partitioned_assets
from aion_dagster.sensors import new_files


def test_new_files_become_partitions_and_runs_with_keys(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox, batch_files=2))
    result = library.tick()
    added = [k for r in result.dynamic_partitions_requests for k in r.partition_keys]
    assert sorted(added) == sorted(library.batches())
    assert len(added) == 2
    assert sorted(requests(result)) == sorted(added)
    assert len(set(requests(result).values())) == 2
    assert selected(result) == [set(partitioned_assets(library.config))] * 2


def test_a_tick_asks_again_with_the_same_key_until_the_batch_has_started(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    first = library.tick()
    again = library.tick()
    assert requests(again) == requests(first)
    library.store_partitions(first)  # and dies before it reserves the run
    assert requests(library.tick()) == requests(first)


def test_nothing_is_asked_for_when_the_runs_are_done(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    (run,) = library.accept(library.tick())
    assert run.success
    result = library.tick()
    assert (result.run_requests, list(result.asset_events)) == ([], [])
    assert "nothing left to do" in result.skip_message
    assert library.materialized("annotations") == set(library.batches())


def test_labels_come_first_and_changes_of_them_reach_annotations_alone(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.json"
    pictures = [(p.name, 96, 72) for p in sorted(inbox.iterdir())]
    labels.write_text(json.dumps(coco(pictures, [(0, "cat", [1.0, 2.0, 30.0, 40.0])])))
    library = watch(configuration(tmp_path / "store", inbox, labels=[str(labels)]))
    first = library.tick()
    assert selected(first) == [{"labels"}]
    assert requests(library.tick()) == requests(first)
    library.accept(first)
    second = library.tick()
    assert selected(second) == [set(partitioned_assets(library.config))]

    # The labels change before the run of the batch begins: it still matches those that were imported.
    boxes = [(i, "cat", [1.0, 2.0, 30.0, 40.0]) for i in range(3)]
    labels.write_text(json.dumps(coco(pictures, boxes)))
    library.accept(second)
    assert library.store.tables.read("annotations").num_rows == 1
    third = library.tick()
    assert selected(third) == [{"labels"}]
    assert set(requests(third).values()).isdisjoint(requests(first).values())
    library.accept(third)
    fourth = library.tick()
    assert selected(fourth) == [{"label_matches", "label_losses", "annotations"}]
    library.accept(fourth)
    assert library.tick().run_requests == []
    assert library.store.tables.read("annotations").num_rows == 3


def test_a_new_instance_over_a_full_store_learns_what_exists_without_a_run(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox, batch_files=2))
    library.accept(library.tick())
    moved = copied_store(tmp_path / "store", tmp_path / "moved")
    restored = watch(library.config.model_copy(update={"store": str(moved)}))
    result = restored.tick()
    assert result.run_requests == []
    assert restored.accept(result) == []
    for asset in partitioned_assets(restored.config):
        assert restored.materialized(asset) == set(library.batches())
    assert restored.partitions() == set(library.batches())
    settled = restored.tick()
    assert (settled.run_requests, list(settled.asset_events)) == ([], [])


def test_reports_that_a_crash_cut_short_are_made_by_the_next_tick(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox, batch_files=2))
    library.accept(library.tick())
    moved = copied_store(tmp_path / "store", tmp_path / "moved")
    restored = watch(library.config.model_copy(update={"store": str(moved)}))
    restored.store_partitions(restored.tick())  # the process dies here
    assert restored.accept(restored.tick()) == []
    assert restored.materialized("annotations") == set(library.batches())


def test_an_asset_that_is_configured_later_is_made_for_earlier_batches(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    library.accept(library.tick())
    changed = library.configured(detect=["codes"])
    result = changed.tick()
    assert "codes" in selected(result)[0]
    assert "images" not in selected(result)[0]
    changed.accept(result)
    assert not changed.tick().run_requests
    assert changed.store.tables.batches("codes") == changed.batches()


def test_a_batch_that_failed_is_not_asked_for_again_until_its_inputs_change(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    result = library.tick()
    library.store_partitions(result)
    library.crash(result.run_requests[0])
    failed = library.tick()
    assert failed.run_requests == []
    assert "1 batches are at work or failed" in failed.skip_message
    changed = library.configured(colors=8)
    (run,) = changed.accept(changed.tick())
    assert run.success
    assert changed.tick().run_requests == []


def test_a_run_that_stopped_half_way_is_not_followed_by_another_under_a_new_key(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    result = library.tick()
    library.store_partitions(result)
    (request,) = result.run_requests
    half = request.with_replaced_attrs(
        asset_selection=[k for k in request.asset_selection if k.path[-1] in ("images", "variants")]
    )
    library.execute(half)
    assert library.accept(library.tick()) == []


def test_no_more_batches_are_asked_for_in_a_tick_than_configured(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    config = configuration(tmp_path / "store", inbox, batch_files=1, max_batches_per_tick=2)
    library = watch(config)
    asked = []
    for _ in range(3):
        result = library.tick()
        library.store_partitions(result)
        asked.append(requests(result))
        for request in result.run_requests:
            library.crash(request)
    assert [len(a) for a in asked] == [2, 1, 0]
    assert set(asked[0]) | set(asked[1]) == set(library.batches())


def test_batches_that_failed_leave_room_for_others(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    config = configuration(tmp_path / "store", inbox, batch_files=1, max_batches_per_tick=1)
    library = watch(config)
    asked: list[str] = []
    for _ in range(3):
        result = library.tick()
        library.store_partitions(result)
        asked += requests(result)
        library.crash(result.run_requests[0])
    assert sorted(asked) == sorted(library.batches())
    assert library.tick().run_requests == []


def test_a_batch_that_a_run_works_on_is_left_alone(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox, batch_files=1))
    library.store_partitions(library.tick())
    first, second, third = library.partitions_in_order()
    one = library.started({"dagster/partition": third})
    several = library.started(
        {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": second,
        }
    )
    assert library.tick().run_requests == []
    library.instance.report_run_failed(several)
    assert set(requests(library.tick())) == {first, second}
    library.instance.report_run_failed(one)
    assert set(requests(library.tick())) == {first, second, third}


def test_a_run_that_was_reserved_and_never_launched_is_asked_for_again(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    result = library.tick()
    library.store_partitions(result)
    library.reserve(result.run_requests[0])
    assert requests(library.tick()) == requests(result)


def test_a_source_that_cannot_be_listed_does_not_hold_up_the_others(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "unmounted", 9)
    library = watch(configuration(tmp_path / "store", tmp_path / "unmounted", inbox))
    (tmp_path / "unmounted").rename(tmp_path / "away")
    result = library.tick()
    assert len(result.run_requests) == 1
    library.store_partitions(result)
    library.crash(result.run_requests[0])
    library.cursor = result.cursor
    with pytest.raises(SourceError, match="unmounted cannot be listed"):
        library.tick()
    (tmp_path / "away").rename(tmp_path / "unmounted")
    assert len(library.tick().run_requests) == 1


def test_a_listing_that_takes_longer_than_a_tick_goes_on_in_the_next(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(600):
        (folder / f"{i:04}.jpg").write_bytes(b"%d" % i)
    monkeypatch.setattr(new_files, "TICK_SECONDS", 0.0)
    library = watch(configuration(tmp_path / "store", folder, max_batches_per_tick=1))
    known = []
    for _ in range(4):
        result = library.tick()
        library.store_partitions(result)
        library.cursor = result.cursor
        known.append(sum(b.file_count for b in library.store.ledger.batches()))
    assert known[0] < known[1] < known[2] == known[3] == 600


def test_a_tick_passes_with_a_reason_while_a_command_holds_the_store(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    root = library.store.root
    with store_held_elsewhere(root):
        result = library.tick()
    assert result.run_requests == []
    assert "in use by a test" in result.skip_message
    assert library.batches() == []
    assert len(library.tick().run_requests) == 1
