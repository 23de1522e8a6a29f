"""Runs on Celery workers, watched by their signs of life instead of by what the broker remembers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Self, cast

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher

from aion_dagster.resources.run_beacon import is_alive, run_lock

SILENT_SECONDS: Final = 45.0
"""A run that started is called dead after so long without a sign: longer than its first sign takes, and than a server
takes to come back."""


class BeaconCeleryRunLauncher(CeleryRunLauncher):
    """Dagster's Celery launcher with another answer to "is the run's worker alive?".

    Celery knows of a task what its result backend says: a worker that was killed leaves its tasks "started" for ever, and
    a broker that restarted knows of none, whether they run or not. Here the worker (`aion_dagster.celery_worker`) holds
    a lock in the instance's PostgreSQL for each run, so that Dagster's run monitoring fails those runs, and only
    those, whose process is gone; run retries then begin them anew.

    In `dagster.yaml`: `run_launcher: {module: aion_dagster.resources.celery_launcher, class: BeaconCeleryRunLauncher}`, with
    the configuration of `CeleryRunLauncher`.
    """

    def __init__(self, silent_seconds: float = SILENT_SECONDS, **settings: Any) -> None:
        """`silent_seconds`: how long a run may be without a sign of life."""
        super().__init__(**settings)
        self._silent_seconds = silent_seconds
        self._silent_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """As `CeleryRunLauncher`, and `silent_seconds`."""
        return {
            **cast("dict[str, Any]", super().config_type()),
            "silent_seconds": dg.Field(
                float,
                is_required=False,
                default_value=SILENT_SECONDS,
                description="How long a started run may be without a sign of life before it is called dead.",
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:
        """The launcher that an instance's settings describe."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_resume_run(self) -> bool:
        """False: a run is begun anew from its failed steps, which costs a batch nothing that it has."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives, as its lock tells.

        Raises:
            StorageError: the database cannot be asked; monitoring asks again.
        """
        now = time.monotonic()
        if is_alive(run_lock(self._instance, run.run_id)):
            self._silent_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        silent = now - self._silent_since.setdefault(run.run_id, now)
        if silent < self._silent_seconds:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._silent_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"No process has held the run's lock for {silent:.0f} seconds."
        )

    def get_run_worker_debug_info(self, *_: Any, **__: Any) -> str | None:
        """None: the broker knows nothing of a process that is gone."""
        return None
