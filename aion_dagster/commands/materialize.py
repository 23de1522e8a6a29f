"""Materializing through Dagster, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import dagster as dg

from aion_dagster import errors
from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.commands.interrupts import heeding_interrupts
from aion_dagster.config import LibraryConfig, PipelineConfig
from aion_dagster.definitions import BATCH_JOB, LABELS_JOB, LIBRARY_JOB, build_definitions
from aion_dagster.pipelines.asset_names import pipeline_assets
from aion_dagster.remote_definitions import REMOTE_JOB
from aion_dagster.resources.instance import COMMAND_TAG, embedded_instance
from aion_dagster.resources.naming import Names

OWN_ERRORS = frozenset(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AionError)
)
LIMIT = 2_000
"""Longest error text that is shown."""


@dataclass(frozen=True)
class Outcome:
    """What became of one run: errors of failed steps, failed checks that block."""

    batch: str
    errors: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Whether everything asked for was made."""
        return not self.errors


class Materializer:
    """Runs a library's jobs in this process, on its embedded instance."""

    def __init__(
        self,
        config: LibraryConfig,
        instance: dg.DagsterInstance,
        advance: Callable[[str, int], None],
        ahead: PicturesAhead | None = None,
    ) -> None:
        """Build the definitions; `advance` is told what is done, `ahead` has the pictures of batches to come."""
        self._names = Names(config.name)
        self._instance = instance
        self._definitions = build_definitions(config, advance=advance, quiet=True, ahead=ahead)

    def labels(self) -> Outcome:
        """Import the labels."""
        return self._run(LABELS_JOB, ["labels"], None)

    def batch(self, batch: str, assets: Sequence[str]) -> Outcome:
        """Materialize assets of one batch."""
        return self._run(BATCH_JOB, assets, batch)

    def whole(self, assets: Sequence[str]) -> Outcome:
        """Materialize assets over all batches."""
        return self._run(LIBRARY_JOB, assets, None)

    def remote(self, assets: Sequence[str]) -> Outcome:
        """Materialize assets about a remote account."""
        return self._run(REMOTE_JOB, assets, None)

    def pipeline(self, pipeline: PipelineConfig, batch: str | None) -> Outcome:
        """Run a pipeline of agents, over one batch where it is partitioned."""
        return self._run(f"run_pipeline_{pipeline.name}", pipeline_assets(pipeline), batch)

    def _run(self, job: str, assets: Sequence[str], batch: str | None) -> Outcome:
        resolved = self._definitions.resolve_job_def(self._names.job(job))
        with heeding_interrupts():
            result = resolved.execute_in_process(
                instance=self._instance,
                partition_key=batch,
                asset_selection=[self._names.key(a) for a in assets],
                raise_on_error=False,
                tags={COMMAND_TAG: "run"},
            )
        return Outcome(batch or "", tuple(run_errors(result)))


def run_errors(result: dg.ExecuteInProcessResult, *, checks: bool = True) -> Iterator[str]:
    """Messages of failed steps, then (unless not `checks`) of failed checks that block."""
    found = False
    for event in result.all_events:
        if event.is_step_failure:
            found = True
            data = event.step_failure_data
            message = _message(data.error, data.user_failure_data)
            yield f"{event.step_key}: {message[:LIMIT]}"
    for evaluation in result.get_asset_check_evaluations() if checks else ():
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            found = True
            key = evaluation.asset_key.to_user_string()
            yield f"check {evaluation.check_name} of {key}: {evaluation.description or 'failed'}"
    if not result.success and not found:
        yield "the run failed before its first step"


def _message(error: Any, failure: Any) -> str:
    """The reason of a step's failure in one line, without the wrappings around it."""
    if failure is not None and failure.description:
        return str(failure.description)
    chain = [error]
    while chain[-1] is not None and chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    # Our own errors say what to do; what caused them says less.
    own = [e for e in chain if e is not None and e.cls_name in OWN_ERRORS]
    told = own[-1] if own else chain[-1]
    return "" if told is None else str(told.message).strip()


def side_by_side(
    config: LibraryConfig, work: Mapping[str, Sequence[str]], processes: int
) -> Iterator[Outcome]:
    """Materialize batches in several processes; never in threads, which deadlock in Dagster's logging set-up."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        data = config.model_dump(mode="json")
        futures = [pool.submit(_batch_in_process, data, b, tuple(a)) for b, a in work.items()]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Interrupted, it begins no other batch.
            pool.shutdown(wait=False, cancel_futures=True)


def _batch_in_process(data: dict[str, Any], batch: str, assets: tuple[str, ...]) -> Outcome:
    """One batch in a worker process."""
    from aion_dagster.commands.quiet import quiet_console

    quiet_console()
    config = LibraryConfig.parse(data)
    with embedded_instance(config.store) as instance:
        return Materializer(config, instance, lambda _asset, _items: None).batch(batch, assets)
