"""The embedded Dagster instance of a store, and what killed processes left in it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg
import yaml
from dagster import DagsterRunStatus, RunsFilter

from aion_dagster.errors import StorageError, StoreLockedError
from aion_dagster.resources.fresh_databases import make_databases, migrations_read_once
from aion_dagster.resources.kept_connections import kept_connections
from aion_dagster.storage.lock import StoreLock
from aion_dagster.storage.places import local_folder, place_of
from aion_dagster.storage.run_lock import RunLock

INSTANCE_FOLDER = "dagster"
COMMAND_TAG = "aion_dagster/command"
"""Tag of runs that the command line executes in its own process."""

_COMMAND_SETTINGS = "command.yaml"
"""Settings of the command line: those of `dagster.yaml`, but for logs of what steps print."""
_NO_COMPUTE_LOGS = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}

_GRACE_SECONDS = 120.0
"""A run that a launcher started so recently may not have taken its lock yet."""


def instance_folder(store: str) -> Path:
    """Where the embedded instance of a store lies, with its `dagster.yaml` written if there was none.

    In the store; of a store in a bucket, in its folder on this machine.

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = local_folder(place_of(store)) / INSTANCE_FOLDER
    place = folder / "dagster.yaml"
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not place.is_file():
            text = files("aion_dagster.resources").joinpath("embedded_instance.yaml").read_text()
            _write(place, text)
        settings = yaml.safe_load(place.read_text()) or {}
        text = yaml.safe_dump(settings | _NO_COMPUTE_LOGS)
        command = folder / _COMMAND_SETTINGS
        if not command.is_file() or command.read_text() != text:
            _write(command, text)
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from error


def _write(place: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as beside:
        beside.write(text)
    Path(beside.name).replace(place)


@contextmanager
def embedded_instance(store: str) -> Iterator[dg.DagsterInstance]:
    """The instance that `run` and `dev` share, as a command uses it: without logs of what steps print.

    Dagster catches those through processes of their own (`tail`), which a killed command would leave behind.
    """
    folder = instance_folder(store)
    with migrations_read_once():
        if _keeps_databases_in(folder):
            with _writing(folder):
                make_databases(folder)
        with (
            dg.DagsterInstance.from_config(str(folder), _COMMAND_SETTINGS) as instance,
            kept_connections(instance),
        ):
            yield instance


def _keeps_databases_in(folder: Path) -> bool:
    """Whether the instance has Dagster's own storages, not others that its settings name."""
    settings = yaml.safe_load((folder / _COMMAND_SETTINGS).read_text()) or {}
    return not any("storage" in name for name in settings)


def report_dead_runs(instance: dg.DagsterInstance, store: str) -> list[str]:
    """Report runs whose process is gone as failed, and free the pool slots that they held; returns their ids.

    Without this, automation would wait for them for ever. To be called under the exclusive lock of a library of the
    store; while a command works on another one, runs that are too young to hold their own lock are left alone.
    """
    dead = []
    home = local_folder(place_of(store))
    alone = not _is_library_locked(home)
    for record in instance.get_run_records(
        RunsFilter(
            statuses=[
                DagsterRunStatus.NOT_STARTED,
                DagsterRunStatus.STARTING,
                DagsterRunStatus.STARTED,
                DagsterRunStatus.CANCELING,
            ]
        )
    ):
        run = record.dagster_run
        if _is_alive(home, run.run_id):
            continue
        launched = COMMAND_TAG not in run.tags
        if launched and run.status == DagsterRunStatus.NOT_STARTED:
            continue
        if (
            launched or not alone
        ) and time.time() - record.update_timestamp.timestamp() < _GRACE_SECONDS:
            continue
        instance.report_run_failed(run, "The process that executed this run is gone.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(run.run_id)
    return dead


def _libraries(store: Path) -> list[Path]:
    """Folders of the store's libraries."""
    return [
        p.parents[1] for pattern in ("", "*/") for p in store.glob(f"{pattern}locks/store.lock")
    ]


def _is_alive(store: Path, run_id: str) -> bool:
    """Whether some process holds the run's lock, in whichever library of the store."""
    return any(RunLock.is_alive(root, run_id) for root in _libraries(store))


def _is_library_locked(store: Path) -> bool:
    """Whether another process works on some library of the store alone."""
    for root in _libraries(store):
        try:
            with StoreLock.shared(root, wait=False, what="a look at who is at work"):
                pass
        except StoreLockedError:
            return True
    return False
