"""Commands and launched runs on one store: they wait for each other, and the dead are reported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from watched_library import Watch, WatchedLibrary, configuration, store_held_elsewhere

from aion_dagster.cli import main
from aion_dagster.resources.instance import COMMAND_TAG, embedded_instance, report_dead_runs
from aion_dagster.storage.lock import TOKEN_VARIABLE, RunLock, StoreLock
from aion_dagster.storage.store import Store

HERE = Path(__file__).parent
COMMAND = (sys.executable, "-m", "aion_dagster", "run")


def started(*command: object) -> subprocess.Popen[str]:
    """A process that does not work under a lock of this one."""
    environment = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a living process does."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def files_of_batches(store: Store) -> list[str]:
    return [f.uri for b in store.ledger.batches() for f in store.manifests.read(b.key)]


def test_commands_wait_for_others_say_so_and_take_in_every_file_once(
    inbox: Path, tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "store")
    arguments = [inbox, "--store", store.root, "--export", "none"]
    with store_held_elsewhere(store.root):
        both = [started(*COMMAND, *arguments) for _ in range(2)]
        for command in both:
            assert command.stderr is not None
            told = command.stderr.readline()
            assert told.startswith(f"Waiting: the store {store.root} is in use by a test (pid ")
        assert store.ledger.batches() == []
    outputs = []
    for command in both:
        out, err = command.communicate()
        assert command.returncode == 0, err
        outputs.append(out)
    assert sorted("3 files in 1 batch:" in out for out in outputs) == [False, True]
    assert sorted("Nothing new" in out for out in outputs) == [False, True]
    assert sorted(files_of_batches(store)) == sorted(p.as_uri() for p in inbox.iterdir())
    assert store.tables.read("library").num_rows == 3
    with embedded_instance(str(store.root)) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}


def test_a_command_that_must_not_wait_ends_with_a_sentence(
    inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(tmp_path / "store")
    with store_held_elsewhere(store.root):
        status = main(["run", str(inbox), "--store", str(store.root), "--no-wait"])
    err = capsys.readouterr().err
    assert status == 1
    assert "in use by a test" in err
    assert "Try again when it is done." in err
    assert "Traceback" not in err
    assert store.ledger.batches() == []


def launch(library: WatchedLibrary, batch: str, run_id: str) -> subprocess.Popen[str]:
    library.config.remember()
    script = HERE / "launched_run.py"
    return started(sys.executable, script, library.config.store, batch, run_id)


def test_a_launched_run_waits_while_a_command_works_on_the_store(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    library.store_partitions(library.tick())
    (batch,) = library.batches()
    root, run_id = library.store.root, str(uuid.uuid4())
    with StoreLock.exclusive(root, what="a test"):
        run = launch(library, batch, run_id)
        until(lambda: RunLock.is_alive(root, run_id), run)
        assert report_dead_runs(library.instance, str(root)) == []
        assert library.store.tables.batches("images") == []
        assert run.poll() is None
    _, err = run.communicate()
    assert run.returncode == 0, err
    assert library.store.tables.batches("annotations") == [batch]
    assert not RunLock.is_alive(root, run_id)


def test_a_command_waits_for_launched_runs(watch: Watch, inbox: Path, tmp_path: Path) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    with StoreLock.shared(library.store.root, what="run 123"):
        command = started(*COMMAND, inbox, "--store", library.store.root, "--no-wait")
        _, err = command.communicate()
    assert command.returncode == 1
    assert "in use by run 123" in err


def test_a_command_that_was_killed_is_reported_as_failed_by_the_next(
    watch: Watch, inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "store"
    script = HERE.parent / "e2e" / "killed_run.py"
    arguments = ["run", str(inbox), "--store", str(place), "--export", "none"]
    moment = "after replace:images/part.parquet:1"
    killed = started(sys.executable, script, moment, *arguments)
    _, err = killed.communicate()
    assert killed.returncode == -9, err
    with embedded_instance(str(place)) as instance:
        (left,) = instance.get_runs()
        assert left.status == dg.DagsterRunStatus.STARTED
        assert main(arguments) == 0
        after = instance.get_run_by_id(left.run_id)
        assert after is not None
        assert after.status == dg.DagsterRunStatus.FAILURE
        others = [run for run in instance.get_runs() if run.run_id != left.run_id]
        assert others
        assert {run.status for run in others} == {dg.DagsterRunStatus.SUCCESS}
        events = instance.all_logs(left.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert events[0].dagster_event is not None
        assert "process that executed this run is gone" in (events[0].dagster_event.message or "")
        pools = instance.event_log_storage
        for pool in pools.get_concurrency_keys():
            info = pools.get_concurrency_info(pool)
            assert (info.active_slot_count, info.pending_step_count) == (0, 0)
    capsys.readouterr()


def test_a_launched_run_is_dead_when_it_had_time_to_take_its_lock_and_does_not_hold_it(
    watch: Watch, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    root = library.store.root
    dead, alive = library.started({}), library.started({})
    queued = library.reserve(dg.RunRequest(run_key="waits"))
    with StoreLock.exclusive(root), RunLock(root, alive.run_id):
        assert report_dead_runs(library.instance, str(root)) == []
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 600)
        assert report_dead_runs(library.instance, str(root)) == [dead.run_id]
        monkeypatch.undo()
    for run, status in (
        (dead, dg.DagsterRunStatus.FAILURE),
        (alive, dg.DagsterRunStatus.STARTED),
        (queued, dg.DagsterRunStatus.NOT_STARTED),
    ):
        found = library.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == status


def test_a_command_on_another_library_of_the_store_is_not_taken_for_dead(
    watch: Watch, inbox: Path, tmp_path: Path
) -> None:
    library = watch(configuration(tmp_path / "store", inbox))
    beach = Store.open(tmp_path / "store", library="beach")
    young = library.started({COMMAND_TAG: "run"})  # has not taken its lock yet
    with StoreLock.exclusive(library.store.root):
        with store_held_elsewhere(beach.root):
            assert report_dead_runs(library.instance, library.config.store) == []
        assert report_dead_runs(library.instance, library.config.store) == [young.run_id]
