"""A library with its new-files sensor, and what Dagster's daemon does with the result of a tick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from small_library import draw_picture

from aion_dagster.config import LibraryConfig
from aion_dagster.definitions import BATCH_JOB, LABELS_JOB, build_definitions
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.storage.store import Store

RUN_KEY = "dagster/run_key"
HOLDER = """
import sys
from pathlib import Path
from aion_dagster.storage.lock import StoreLock
with StoreLock.exclusive(Path(sys.argv[1]), what="a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


def configuration(store: Path, *sources: Path, **more: Any) -> LibraryConfig:
    """A library over some folders; its dataset is not exported unless asked for."""
    exports = {"datasets": [{"name": "main", "exports": []}]}
    return LibraryConfig.parse(
        {
            "store": str(store),
            # Ticks follow right upon changes: nothing would be taken in if files had to settle.
            "sources": [{"path": str(s), "settle_seconds": 0} for s in sources],
            **exports,
            **more,
        }
    )


def draw(folder: Path, *seeds: int) -> None:
    """Small pictures, one for each seed."""
    for seed in seeds:
        draw_picture(folder / f"picture {seed:03}.jpg", seed, (96, 72))


@dataclass
class WatchedLibrary:
    """Ticks of the sensor, and the daemon's part: partitions, reports and runs, each run key once."""

    config: LibraryConfig
    instance: dg.DagsterInstance
    cursor: str | None = None
    executed: list[str] = field(default_factory=list)

    @property
    def names(self) -> Names:
        return Names(self.config.name)

    @property
    def store(self) -> Store:
        return open_store(self.config.store, self.config.name)

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.config, quiet=True)

    def configured(self, **changes: Any) -> WatchedLibrary:
        """The same library on the same instance after a change of its configuration."""
        data = self.config.model_dump(mode="json") | changes
        return WatchedLibrary(LibraryConfig.parse(data), self.instance, self.cursor)

    def tick(self) -> Any:
        """Evaluate the sensor; nothing of its result is carried out."""
        sensor = self.definitions.resolve_sensor_def(self.names.job("new_files"))
        context = dg.build_sensor_context(
            instance_ref=self.instance.get_ref(), definitions=self.definitions, cursor=self.cursor
        )
        # Dagster keeps the storage of the instance that a context opened last in a variable, and leaves it there.
        return copy_context().run(sensor.evaluate_tick, context)

    def store_partitions(self, result: Any) -> None:
        """The first thing that the daemon does with a result."""
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(
                request.partitions_def_name, request.partition_keys
            )

    def accept(self, result: Any) -> list[dg.ExecuteInProcessResult]:
        """Carry out the result of a tick to its end; the runs that were not known by their run key."""
        self.store_partitions(result)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        return [
            self.execute(request)
            for request in result.run_requests
            if not self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY: request.run_key}))
        ]

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Carry out one run request."""
        job = self.names.job(BATCH_JOB if request.partition_key else LABELS_JOB)
        self.executed.append(request.run_key or "")
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or ()),
            tags={**request.tags, RUN_KEY: request.run_key or ""},
            raise_on_error=False,
        )

    def reserve(self, request: dg.RunRequest) -> dg.DagsterRun:
        """Create the run of a request without launching it."""
        job = self.definitions.resolve_job_def(self.names.job(BATCH_JOB))
        tags = {**request.tags, RUN_KEY: request.run_key or ""}
        return self.instance.create_run_for_job(job, tags=tags)

    def crash(self, request: dg.RunRequest) -> None:
        """Launch the run of a request in a process that dies at once."""
        self.instance.report_run_failed(self.reserve(request))

    def started(self, tags: dict[str, str]) -> dg.DagsterRun:
        """A run that somebody started by hand and that is at work."""
        job = self.definitions.resolve_job_def(self.names.job(BATCH_JOB))
        return self.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)

    def materialize(
        self, job: str, assets: Sequence[str], **more: Any
    ) -> dg.ExecuteInProcessResult:
        """Run assets of a job."""
        return self.definitions.resolve_job_def(self.names.job(job)).execute_in_process(
            instance=self.instance,
            asset_selection=[self.names.key(a) for a in assets],
            raise_on_error=False,
            **more,
        )

    def planned(self) -> Mapping[str, tuple[str, ...]]:
        """The work that is left on batches."""
        backend = configured_backend(self.config)
        return Planner(self.config, self.store, backend).plan().batches

    def partitions(self) -> set[str]:
        """Keys that the instance knows."""
        return set(self.instance.get_dynamic_partitions(self.names.partitions_name))

    def partitions_in_order(self) -> list[str]:
        """Keys that the instance knows, in the order in which they were added."""
        return list(self.instance.get_dynamic_partitions(self.names.partitions_name))

    def materialized(self, asset: str) -> set[str]:
        """Partitions of an asset that the instance knows to be materialized."""
        return set(self.instance.get_materialized_partitions(self.names.key(asset)))

    def batches(self) -> list[str]:
        """Keys that the ledger knows, in order."""
        return [b.key for b in self.store.ledger.batches()]


Watch = Callable[[LibraryConfig], WatchedLibrary]
"""Opens a library on an instance of its own."""


@contextmanager
def store_held_elsewhere(root: Path) -> Iterator[None]:
    """Another process works on the store alone."""
    environment = {k: v for k, v in os.environ.items() if k != "AION_STORE_LOCK"}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def requests(result: Any) -> dict[str, str]:
    """Partition key → run key of what a tick asks for."""
    return {r.partition_key: r.run_key for r in result.run_requests}


def selected(result: Any) -> list[set[str]]:
    """Assets that each request of a tick is for."""
    return [{k.to_user_string() for k in r.asset_selection} for r in result.run_requests]


def copied_store(source: Path, target: Path) -> Path:
    """A store without its Dagster instance, as after a restore on another machine."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("dagster"))
    return target
