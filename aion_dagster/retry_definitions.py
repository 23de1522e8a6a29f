"""The job that tries again what failed for a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import dagster as dg
from pydantic import Field

from aion_dagster.config import LibraryConfig
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.remote_definitions import REMOTE_JOB
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.retries import Forgotten, forget_failures, unfinished_work

RETRY_JOB: Final = "retry"
RETRY_OF: Final = "aion_dagster/retry_of"
"""Tag of the runs that the job starts: its own run's id."""

Definitions = Callable[[LibraryConfig], dg.Definitions]


class RetryConfig(dg.Config):
    """`failed_for_good` takes in what failed for good, too."""

    failed_for_good: bool = Field(default=False, description="Also calls that failed for good.")


def retry_job(
    config: LibraryConfig,
    in_force: Callable[[], LibraryConfig] | None,
    definitions: Definitions,
    jobs: tuple[str, str],
) -> dg.JobDefinition:
    """A job whose op runs what is incomplete in its own process, each batch as a run of its own.

    Args:
        config: the library as its definitions are loaded.
        in_force: the library as it is configured when the job runs, where that can change.
        definitions: makes the definitions whose jobs are run.
        jobs: names of the jobs of one batch, and of what all batches are together.
    """
    names, loaded = Names(config.name), config

    @dg.op(
        name=names.op("try_again"),
        description="Runs every batch in which rows failed for a time, then what all batches are together.",
    )
    def try_again(context: dg.OpExecutionContext, config: RetryConfig) -> dict[str, int]:
        now = in_force() if in_force else loaded
        work = _Retry(context, now, definitions, jobs)
        return work.everything(forgetting=config.failed_for_good)

    @dg.job(
        name=names.job(RETRY_JOB),
        description="Tries again what failed for a time, and makes no other call; the sources are not listed.",
        executor_def=dg.in_process_executor,
    )
    def retry() -> None:
        try_again()

    return retry


class _Retry:
    """One run of the job. It takes no lock: the runs that it starts do."""

    def __init__(
        self,
        context: dg.OpExecutionContext,
        config: LibraryConfig,
        definitions: Definitions,
        jobs: tuple[str, str],
    ) -> None:
        self._context, self._config = context, config
        self._store = open_store(config.store, config.name)
        self._names = Names(config.name)
        self._make, self._jobs = definitions, jobs
        self._definitions: dg.Definitions | None = None

    def everything(self, *, forgetting: bool) -> dict[str, int]:
        """Run what is incomplete; how many batches that were.

        Raises:
            Failure: a run failed.
        """
        forgotten = forget_failures(self._config, self._store) if forgetting else Forgotten()
        if forgetting:
            self._context.log.info(
                f"{forgotten.calls} calls that failed for good may be made again"
            )
        work = unfinished_work(self._config, self._store, forgotten)
        failed: list[str] = []
        for batch, assets in work.batches.items():
            failed += self._run(self._jobs[0], assets, batch)
        if work.remote:
            failed += self._run(REMOTE_JOB, work.remote, None)
        if work.batches or forgotten.builds:
            failed += self._run(self._jobs[1], self._whole(), None)
        if failed:
            raise dg.Failure("; ".join(failed), allow_retries=False)
        self._context.log.info(f"{len(work.batches)} batches were tried again")
        return {"batches": len(work.batches), "remote": len(work.remote)}

    def _whole(self) -> Sequence[str]:
        planner = Planner(self._config, self._store, configured_backend(self._config))
        return planner.plan().whole if planner.usable_batches() else ()

    def _run(self, job: str, assets: Sequence[str], batch: str | None) -> Iterator[str]:
        """Run some assets; what failed."""
        if not assets:
            return
        if self._definitions is None:
            self._definitions = self._make(self._config)
        instance = self._context.instance
        if batch is not None:
            instance.add_dynamic_partitions(self._names.partitions_name, [batch])
        result = self._definitions.resolve_job_def(self._names.job(job)).execute_in_process(
            instance=instance,
            partition_key=batch,
            asset_selection=[self._names.key(a) for a in assets],
            raise_on_error=False,
            tags={RETRY_OF: self._context.run.run_id},
        )
        if not result.success:
            yield f"{batch or job}: run {result.run_id} failed"


def offers_retry(config: LibraryConfig) -> bool:
    """Whether anything of the library can fail for a time: calls of others, that is."""
    return config.backend == "aionvision" or config.endpoint is not None
