"""Files taken in at fixed times instead of all day: a schedule, and the job that it starts."""

from collections.abc import Callable
from dataclasses import asdict

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.errors import ConfigError
from aion_dagster.resources.access import hold_store, open_store
from aion_dagster.resources.naming import Names
from aion_dagster.sensors.scanning import Cursor, scan_sources

TAKE_IN_JOB = "take_in"


def take_in_job(
    config: LibraryConfig, in_force: Callable[[], LibraryConfig] | None = None
) -> dg.JobDefinition:
    """A job that looks through all sources to their end and records new batches; the new-files sensor asks for their runs."""
    names = Names(config.name)

    @dg.op(name=names.op("take_in_files"), description="Records the new files of every source.")
    def take_in_files(context: dg.OpExecutionContext) -> None:
        now = in_force() if in_force else config
        store = open_store(now.store, now.name)
        with hold_store(store, context.run_id):
            found = scan_sources(now, store, Cursor())
        for loss in found.losses:
            context.log.warning(f"{loss.kind}: {loss.subject}: {loss.detail}")
        counts = {k: v for k, v in asdict(found).items() if isinstance(v, int)}
        context.log.info(f"Sources looked through: {counts}")
        if found.problems:
            raise dg.Failure("; ".join(found.problems), metadata=counts)

    @dg.job(
        name=names.job(TAKE_IN_JOB),
        description="Looks through all sources and records new batches of files.",
        executor_def=dg.in_process_executor,
    )
    def take_in() -> None:
        take_in_files()

    return take_in


def take_in_schedule(config: LibraryConfig, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Starts the job at the configured times.

    Raises:
        ConfigError: `ingest_cron` is no cron expression.
    """
    try:
        return dg.ScheduleDefinition(
            name=Names(config.name).job("take_in_schedule"),
            job=job,
            cron_schedule=config.ingest_cron,
            execution_timezone=config.ingest_timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    except dg.DagsterInvalidDefinitionError as error:
        raise ConfigError(f"ingest_cron: {error}") from None
