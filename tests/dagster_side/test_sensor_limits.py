"""What keeps a sensor from taking in too much, too early, or from one source alone; deletions; scans that are overdue."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from watched_library import Watch, WatchedLibrary, configuration, requests, selected

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import LIBRARY_JOB, build_definitions
from aion_dagster.errors import ConfigError
from aion_dagster.sensors import new_files
from aion_dagster.sensors.scanning import Cursor


def fill(folder: Path, count: int) -> None:
    """Files that nobody will decode."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(b"%d" % number)


def known(library: WatchedLibrary, source: Path) -> int:
    """How many files of a folder are in batches."""
    files = (f for b in library.batches() for f in library.store.manifests.read(b))
    return sum(f.uri.startswith(source.as_uri()) for f in files)


def look(library: WatchedLibrary) -> Any:
    """A tick whose runs are not started; its cursor counts."""
    result = library.tick()
    library.store_partitions(result)
    library.cursor = result.cursor
    return result


def test_a_file_that_is_still_being_written_is_left_for_later(watch: Watch, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    fill(inbox, 2)
    source = {"path": str(inbox), "settle_seconds": 3600}
    library = watch(configuration(tmp_path / "store", sources=[source]))
    old = time.time() - 7200
    os.utime(inbox / "0000.jpg", (old, old))
    look(library)
    assert known(library, inbox) == 1
    library.crash(library.tick().run_requests[0])
    (inbox / "0000.jpg").write_bytes(b"changes again")
    assert "2 files changed a moment ago" in look(library).skip_message
    # What is known of a file stays until its new version has settled.
    assert len(list(library.store.ledger.current_versions())) == 1
    for file in inbox.iterdir():
        os.utime(file, (old + 60, old + 60))
    look(library)
    assert known(library, inbox) == 3


def test_a_file_from_the_future_does_not_wait_for_it(watch: Watch, tmp_path: Path) -> None:
    fill(tmp_path / "inbox", 1)
    later = time.time() + 10_000
    os.utime(tmp_path / "inbox" / "0000.jpg", (later, later))
    source = {"path": str(tmp_path / "inbox"), "settle_seconds": 60}
    library = watch(configuration(tmp_path / "store", sources=[source]))
    look(library)
    assert known(library, tmp_path / "inbox") == 1


def test_no_new_batches_are_made_while_too_many_are_unfinished(
    watch: Watch, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    fill(inbox, 10)
    limits = {"batch_files": 1, "max_batches_per_tick": 2, "max_unfinished_batches": 3}
    library = watch(configuration(tmp_path / "store", inbox, **limits))
    asked = [requests(look(library)) for _ in range(4)]
    assert [len(library.batches()), *map(len, asked)] == [3, 2, 2, 2, 2]
    under_way = [library.started({"dagster/partition": b}) for b in library.batches()[:2]]
    result = look(library)
    assert len(requests(result)) == 1
    assert len(library.batches()) == 3
    third = library.started({"dagster/partition": library.batches()[2]})
    assert "3 batches are unfinished" in look(library).skip_message
    for run in [*under_way, third]:
        library.instance.report_run_failed(run)
    # Runs that ended by somebody's hand are asked for again; one that was asked for and failed waits for a person.
    for request in look(library).run_requests:
        library.crash(request)
    assert len(library.batches()) == 3
    look(library)
    assert len(library.batches()) == 5


def test_a_large_source_does_not_keep_the_others_waiting(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    fill(large, 20)
    fill(small, 1)
    limits = {"batch_files": 2, "max_batches_per_tick": 2, "max_unfinished_batches": 1000}
    library = watch(configuration(tmp_path / "store", large, small, **limits))
    look(library)
    assert (known(library, large), known(library, small)) == (4, 0)
    look(library)
    assert known(library, small) == 1
    for _ in range(6):
        look(library)
    assert known(library, large) == 20


def test_time_is_shared_by_the_sources(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    fill(large, 600)
    fill(small, 1)
    monkeypatch.setattr(new_files, "TICK_SECONDS", 0.0)
    library = watch(configuration(tmp_path / "store", large, small))
    look(library)
    assert 0 < known(library, large) < 600
    assert known(library, small) == 1
    assert Cursor.parse(library.cursor).first == library.config.sources[1].name


@pytest.mark.parametrize("old", ["{}", '{"inbox-123456": "0001.jpg"}'])
def test_a_cursor_of_an_earlier_version_begins_anew(watch: Watch, tmp_path: Path, old: str) -> None:
    fill(tmp_path / "inbox", 3)
    library = watch(configuration(tmp_path / "store", tmp_path / "inbox"))
    library.cursor = old
    look(library)
    assert known(library, tmp_path / "inbox") == 3


def test_a_deleted_file_leaves_the_library_without_a_new_batch(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    library.accept(library.tick())
    assert library.materialize(LIBRARY_JOB, ["library"]).success
    assert look(library).run_requests == []
    lost = next(inbox.iterdir())
    lost.rename(tmp_path / "aside.jpg")
    result = look(library)
    assert selected(result) == [{"library"}]
    assert requests(look(library)).keys() == {None}, "asked for again until it has started"
    assert library.materialize(LIBRARY_JOB, ["library"]).success
    rows = library.store.tables.read("library")
    assert rows.num_rows - rows["deleted_at"].null_count == 1
    assert look(library).run_requests == []
    (tmp_path / "aside.jpg").rename(lost)
    assert selected(look(library)) == [{"library"}]
    assert library.materialize(LIBRARY_JOB, ["library"]).success
    assert library.store.tables.read("library")["deleted_at"].null_count == 3
    assert len(library.batches()) == 1


def evaluations(result: Any) -> list[tuple[bool, str | None]]:
    """What a tick reports about overdue scans."""
    events = [e for e in result.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    assert all(e.check_name == "sources_scanned" for e in events)
    return [(e.passed, e.description) for e in events]


def test_a_source_that_was_not_scanned_for_too_long_is_told_once(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    assert evaluations(look(library)) == []
    late = library.configured(max_scan_age_hours=1e-9)
    ((passed, words),) = evaluations(look(late))
    assert not passed
    assert f"{late.config.sources[0].name} has not been scanned to its end since 20" in str(words)
    assert evaluations(look(late)) == []
    again = late.configured(max_scan_age_hours=1.0)
    again.cursor = late.cursor
    assert evaluations(look(again)) == [(True, None)]


def test_the_check_can_be_run_and_names_why_a_source_was_never_scanned(
    watch: Watch, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", tmp_path / "nowhere"))
    look(library)
    key = library.names.key("library")
    job = dg.define_asset_job(
        "only_check",
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(key, "sources_scanned")),
    )
    definitions = dg.Definitions.merge(library.definitions, dg.Definitions(jobs=[job]))
    run = definitions.resolve_job_def("only_check").execute_in_process(instance=library.instance)
    (evaluation,) = run.get_asset_check_evaluations()
    assert not evaluation.passed
    assert "has not been scanned to its end ever: The folder" in str(evaluation.description)


def nightly(watch: Watch, store: Path, inbox: Path, **more: Any) -> WatchedLibrary:
    return watch(configuration(store, inbox, ingest="schedule", **more))


def test_a_schedule_takes_files_in_and_the_sensor_asks_for_their_runs(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = nightly(watch, tmp_path / "store", inbox, batch_files=1, ingest_cron="30 1 * * *")
    assert look(library).run_requests == []
    assert library.batches() == []
    schedule = library.definitions.resolve_schedule_def("take_in_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("30 1 * * *", "take_in")
    job = library.definitions.resolve_job_def("take_in")
    assert job.execute_in_process(instance=library.instance).success
    assert len(library.batches()) == 3
    assert requests(look(library)).keys() == set(library.batches())


def test_a_nightly_run_fails_for_a_source_that_cannot_be_listed_after_the_others(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    sources = [{"path": str(p), "settle_seconds": 0} for p in (tmp_path / "nowhere", inbox)]
    library = nightly(watch, tmp_path / "store", inbox, sources=sources)
    job = library.definitions.resolve_job_def("take_in")
    done = job.execute_in_process(instance=library.instance, raise_on_error=False)
    assert not done.success
    assert known(library, inbox) == 3
    state = library.store.ledger.source_state(library.config.sources[0].name)
    assert "cannot be listed" in str(state.problem)


@pytest.mark.parametrize(
    "wrong", [{"ingest_cron": "now and then"}, {"ingest_timezone": "Mars/Olympus"}]
)
def test_times_that_are_none_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build_definitions(LibraryConfig.parse({"store": "s", "ingest": "schedule", **wrong}))
