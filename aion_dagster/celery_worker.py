"""The Celery worker that executes runs: `celery -A aion_dagster.celery_worker worker --concurrency 2`.

Set by the environment: `AION_CELERY_BROKER`, and `AION_CELERY_BACKEND` where results lie elsewhere; `DAGSTER_HOME`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, Final, cast

import dagster as dg
from celery import Celery
from celery.signals import task_postrun, task_prerun
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import DEFAULT_CONFIG, TASK_EXECUTE_JOB_NAME
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from aion_dagster.errors import ConfigError
from aion_dagster.resources.run_beacon import beacon, run_lock

BROKER_VARIABLE: Final = "AION_CELERY_BROKER"
BACKEND_VARIABLE: Final = "AION_CELERY_BACKEND"

_SETTINGS: Final[dict[str, Any]] = {
    **DEFAULT_CONFIG,
    # A worker takes what it executes now, and leaves the rest to others.
    "worker_prefetch_multiplier": 1,
    # Acknowledged when begun: a message that came twice would execute a run twice. What a dead worker had begun is
    # found by its lock, and begun anew by Dagster.
    "task_acks_late": False,
    "task_track_started": True,
    # A broker that restarts is waited for.
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_hijack_root_logger": False,
    # Memory that a run leaves behind goes with its process.
    "worker_max_tasks_per_child": 50,
}


def _app() -> Celery:
    broker = os.environ.get(BROKER_VARIABLE)
    if not broker:
        raise ConfigError(f"Set {BROKER_VARIABLE}, such as redis://host:6379/0 or pyamqp://host//.")
    made = cast("Any", make_app)(
        {
            "broker": broker,
            "backend": os.environ.get(BACKEND_VARIABLE) or broker,
            "config_source": _SETTINGS,
        }
    )
    create_execute_job_task(made)
    create_resume_job_task(made)
    return cast("Celery", made)


app = _app()

_alive: Final[dict[str, ExitStack]] = {}
"""Task id → the sign of life of its run."""


@task_prerun.connect  # type: ignore[untyped-decorator]  # Celery ships no types
def _begin(task_id: str, task: Any, kwargs: dict[str, Any], **_: Any) -> None:
    if task.name != TASK_EXECUTE_JOB_NAME:
        return
    arguments = unpack_value(kwargs["execute_job_args_packed"], as_type=ExecuteRunArgs)
    with dg.DagsterInstance.get() as instance:
        lock = run_lock(instance, arguments.run_id)
    _alive[task_id] = stack = ExitStack()
    stack.enter_context(beacon(lock, f"run {arguments.run_id}"))


@task_postrun.connect  # type: ignore[untyped-decorator]  # Celery ships no types
def _end(task_id: str, **_: Any) -> None:
    stack = _alive.pop(task_id, None)
    if stack is not None:
        stack.close()
