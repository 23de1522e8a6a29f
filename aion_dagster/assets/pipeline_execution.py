"""The steps of a pipeline run within Dagster: results, checks and failures as it wants to be told of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import dagster as dg

from aion_dagster.assets.pipeline_agents import agents_of, carry_out
from aion_dagster.assets.workbench import Workbench
from aion_dagster.checks.pipelines import COMPLETED, completed_check, sources_check
from aion_dagster.config import PipelineConfig
from aion_dagster.errors import AionError
from aion_dagster.pipelines.asset_names import applied_assets, step_assets
from aion_dagster.pipelines.carrying_out import TOLD
from aion_dagster.pipelines.kept import Stored, begin_occasion, occasion_of, tell_applied
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.report import missing_sources
from aion_dagster.pipelines.runner import Finished, PipelineRun
from aion_dagster.pipelines.single_call import SingleCallRun
from aion_dagster.storage.store import Store

OCCASION_TAG: Final = "aion_dagster/occasion"
"""Tag of a run that asks everything anew; runs that repeat it, or go on with it, have the same."""

_SHOWN_BYTES: Final = 16_384


class Execution:
    """One execution of a pipeline's op, over one batch where it is partitioned."""

    def __init__(
        self,
        bench: Workbench,
        pipeline: PipelineConfig,
        context: dg.AssetExecutionContext,
        batch: str | None = None,
    ) -> None:
        """Nothing is done yet."""
        self._bench, self._pipeline, self._context = bench, pipeline, context
        self._batch = batch
        self._store: Store = bench.store(context)
        self._assets, self._applied = step_assets(pipeline), applied_assets(pipeline)
        chosen = {bench.names.asset(key) for key in context.selected_asset_keys}
        self._selected = [
            n for n, a in zip(pipeline.step_names, self._assets, strict=True) if a in chosen
        ]
        self._to_apply = {i: a for i, a in self._applied.items() if a in chosen}
        self._failures: list[str] = []
        self._without: set[int] = set()
        self._may_pass = False

    def events(self) -> Iterator[Any]:
        """Results as they come; at the end a failure, where a step had one."""
        try:
            run = self._run()
            for finished in run.run(self._selected):
                yield from self._events_of(finished)
        except AionError as error:
            raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
        for number, asset in self._to_apply.items():
            if number not in self._without:  # never an older plan in place of one that failed
                yield from self._apply(run, number, asset)
        if self._failures:
            raise dg.Failure("; ".join(self._failures), allow_retries=self._may_pass)

    def _run(self) -> PipelineRun:
        name = self._pipeline.name
        occasion = self._context.run.tags.get(OCCASION_TAG)
        if occasion:
            begin_occasion(self._store, name, occasion)
        kind = SingleCallRun if self._pipeline.mode == "single_call" else PipelineRun
        return kind(
            self._pipeline,
            self._store,
            agents_of(self._bench, self._context, self._pipeline),
            self._batch,
            occasion_of(self._store, name),
            self._context.run.run_id,
        )

    def _events_of(self, finished: Finished) -> Iterator[Any]:
        key = self._bench.names.key(self._assets[finished.number])
        self._bench.advance(self._assets[finished.number], 1)
        if finished.stored is None:
            self._without.add(finished.number)
            if finished.status == "failed":
                self._failures.append(f"{finished.name}: {finished.reason}")
                # What a repetition may mend is a crash; what was paid is not repeated unasked.
                self._may_pass |= not isinstance(finished.error, AionError)
            yield from self._checks([completed_check(key, finished)])
            return
        result = finished.stored.result
        checks = [completed_check(key, finished)]
        if result.sentences or result.text or result.unfounded:
            material = Material(self._store)
            checks.append(sources_check(key, missing_sources(result, material)))
        else:
            checks.append(sources_check(key, ()))
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_metadata(finished, finished.stored),
            data_version=dg.DataVersion(finished.stored.version[:16]),
            check_results=list(self._checks(checks)),
        )

    def _checks(self, checks: list[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckResult]:
        wanted = self._context.selected_asset_check_keys
        for check in checks:
            if check.asset_key is not None and check.check_name is not None:
                key = dg.AssetCheckKey(check.asset_key, check.check_name)
                if key in wanted:
                    yield check

    def _apply(self, run: PipelineRun, number: int, asset: str) -> Iterator[Any]:
        plan = run.result(number)
        if plan is None:
            self._failures.append(f"{run.wired[number].name}: there is no plan to carry out")
            return
        step = run.wired[number].name
        apply = self._pipeline.steps[number].apply
        if apply is None:
            return
        try:
            done = carry_out(self._bench, self._context, run, number, plan.plan)
        except AionError as error:
            self._failures.append(f"{step}: the plan was not carried out: {error}")
            return
        told = done.told(apply)
        tell_applied(self._store, self._pipeline.name, step, told)
        self._store.ledger.record_build(
            asset, self._batch or "", str(len(plan.plan)), done.done, {"run_id": run.run_id}
        )
        if done.failures:
            self._failures.append(f"{step}: the plan was not carried out as a whole: {told}")
        yield dg.MaterializeResult(
            asset_key=self._bench.names.key(asset),
            metadata={
                TOLD: told,
                "done": done.done,
                "so_already": done.there,
                "failed": len(done.failures),
                **done.facts,
            },
        )


def of_several(executions: Iterable[Execution]) -> Iterator[Any]:
    """Results of a run over several batches: of each asset one, where every batch has it; its report is the last batch's."""
    results: dict[dg.AssetKey, dg.MaterializeResult[Any]] = {}
    problems: dict[tuple[Any, Any], dg.AssetCheckResult] = {}
    failures: list[str] = []
    for execution in executions:
        try:
            for event in execution.events():
                checks = [event]
                if isinstance(event, dg.MaterializeResult) and event.asset_key is not None:
                    results[event.asset_key] = event
                    checks = list(event.check_results or ())
                problems |= {(c.asset_key, c.check_name): c for c in checks if not c.passed}
        except dg.Failure as failure:
            failures.append(str(failure.description))
    lost = {key for key, name in problems if name == COMPLETED}
    for key, result in results.items():
        if key not in lost:
            told = [problems.get((key, c.check_name), c) for c in result.check_results or ()]
            yield result._replace(check_results=told)
    yield from (check for (key, _), check in problems.items() if key in lost)
    if failures:
        raise dg.Failure("; ".join(failures), allow_retries=False)


def _metadata(finished: Finished, kept: Stored) -> dict[str, Any]:
    """Report, counts, who made it, what it cost, where it lies."""
    result = kept.result
    counts = {
        name: len(rows)
        for name, rows in (
            ("items", result.items),
            ("sentences", result.sentences),
            ("relationships", result.relationships),
            ("categories", result.categories),
            ("planned_files", result.plan),
        )
        if rows
    }
    facts = {k: v for k, v in result.facts.items() if v is not None}
    if finished.status == "unchanged":
        # What it cost stands with the run that paid it.
        facts = {"unchanged": True}
    return {
        "report": dg.MetadataValue.md(_shown(kept)),
        "report_file": _place(kept),
        "dagster/uri": kept.place.as_uri(),
        "dagster/row_count": max(counts.values(), default=0),
        "made_by": result.made_by,
        "version": kept.version,
        **({"model": result.model} if result.model else {}),
        **counts,
        **facts,
    }


def _place(kept: Stored) -> dg.MetadataValue[Any]:
    if isinstance(kept.report, Path):
        return dg.MetadataValue.path(kept.report)
    return dg.MetadataValue.text(kept.report.as_uri())


def _shown(kept: Stored) -> str:
    """The report, cut where the event log would swell."""
    data = kept.report.read_bytes()
    if len(data) <= _SHOWN_BYTES:
        return data.decode()
    cut = data[:_SHOWN_BYTES].decode(errors="ignore").rpartition("\n")[0]
    return f"{cut}\n\n… the rest stands in the file."
