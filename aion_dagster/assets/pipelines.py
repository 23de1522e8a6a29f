"""pipeline/<name>/<step>: what agents found and said, step by step."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from aion_dagster.assets.automation import after
from aion_dagster.assets.pipeline_agents import agents_of, carry_out
from aion_dagster.assets.workbench import Workbench, keys
from aion_dagster.checks.pipelines import completed_check, sources_check, step_check_specs
from aion_dagster.config import PipelineConfig
from aion_dagster.errors import AionError
from aion_dagster.pipelines.asset_names import applied_assets, step_assets, upstream_assets
from aion_dagster.pipelines.graph import Wired
from aion_dagster.pipelines.kept import Stored, begin_occasion, occasion_of
from aion_dagster.pipelines.material import Material
from aion_dagster.pipelines.report import missing_sources
from aion_dagster.pipelines.runner import Finished, PipelineRun
from aion_dagster.pipelines.single_call import SingleCallRun
from aion_dagster.resources.naming import Names
from aion_dagster.storage.store import Store

OCCASION_TAG = "aion_dagster/occasion"
"""Tag of a run that asks everything anew; runs that repeat it, or go on with it, have the same."""

_SHOWN_BYTES = 16_384
_RETRY = dg.RetryPolicy(max_retries=2, delay=1)

VERBS = {
    "image_search": "Finds pictures",
    "document_search": "Finds documents",
    "link_search": "Finds links",
    "analysis": "Analyzes pictures",
    "document_analysis": "Analyzes documents",
    "link_analysis": "Analyzes links",
    "assistant": "Writes a report",
    "folder": "Plans folders",
    "cross_reference": "Relates what was found",
    "analytics": "Answers with numbers",
    "chat": "Answers",
}


def pipeline_asset(bench: Workbench, pipeline: PipelineConfig) -> dg.AssetsDefinition:
    """The factory of a pipeline: one op, an asset per step, any of which can be materialized alone.

    Steps run side by side in it, as soon as what they wait for is there; in either mode the assets are the same.
    """
    names = bench.names
    specs = _specs(bench, pipeline)
    partitions = names.partitions if pipeline.seeds.by_batch else None

    @dg.multi_asset(
        name=names.op(f"pipeline_{pipeline.name}"),
        specs=specs,
        check_specs=[
            check for asset in step_assets(pipeline) for check in step_check_specs(names.key(asset))
        ],
        can_subset=True,
        partitions_def=partitions,
        required_resource_keys=bench.resource_keys,
        retry_policy=_RETRY,
        pool=names.pool("pipelines"),
    )
    def run_steps(context: dg.AssetExecutionContext) -> Iterator[Any]:
        batches = list(context.partition_keys) if partitions else [None]
        for batch in batches:
            yield from _Execution(bench, pipeline, context, batch, len(batches) > 1).events()

    return run_steps


def pipeline_job_name(names: Names, pipeline: PipelineConfig) -> str:
    """The name of the job of a pipeline."""
    return names.job(f"run_pipeline_{pipeline.name}")


def pipeline_job(bench: Workbench, pipeline: PipelineConfig) -> Any:
    """The job of a pipeline."""
    return dg.define_asset_job(
        pipeline_job_name(bench.names, pipeline),
        selection=keys(bench.names, [*step_assets(pipeline), *applied_assets(pipeline).values()]),
        description=f"All steps of the pipeline {pipeline.name}.",
    )


def pipeline_schedule(bench: Workbench, pipeline: PipelineConfig, job: Any) -> Any:
    """Runs the job at its times; each time everything is asked anew."""

    @dg.schedule(
        name=bench.names.job(f"pipeline_{pipeline.name}_schedule"),
        job=job,
        cron_schedule=pipeline.schedule,
        execution_timezone=pipeline.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        moment = context.scheduled_execution_time.isoformat(timespec="minutes")
        return dg.RunRequest(run_key=moment, tags={OCCASION_TAG: moment})

    return tick


def _specs(bench: Workbench, pipeline: PipelineConfig) -> list[dg.AssetSpec]:
    """The assets of a pipeline, each depending on what its step takes from."""
    names, assets = bench.names, step_assets(pipeline)
    upstream = upstream_assets(pipeline, documents=bench.config.documents != ())
    applied = applied_assets(pipeline)
    by_itself = pipeline.schedule == "on_new"
    specs = []
    for step, asset, config in zip(pipeline.wired(), assets, pipeline.steps, strict=True):
        above = upstream.get(step.number, ())
        before = [assets[i] for i in step.waits_for]
        spec = partial(
            dg.AssetSpec,
            group_name=names.group(f"pipeline_{pipeline.name}"),
            automation_condition=_condition(bench, pipeline, step) if by_itself else None,
        )
        specs.append(
            spec(
                key=names.key(asset),
                deps=keys(names, [*above, *before]),
                description=f"{VERBS[step.agent]}: {config.intent}",
                kinds={"parquet", "markdown"},
            )
        )
        if step.number in applied:
            specs.append(
                spec(
                    key=names.key(applied[step.number]),
                    deps=[names.key(asset)],
                    description=f"Carries the plan of {asset} out: {config.apply and config.apply.to}.",
                    automation_condition=dg.AutomationCondition.eager() if by_itself else None,
                )
            )
    return specs


def _condition(
    bench: Workbench, pipeline: PipelineConfig, step: Wired
) -> dg.AutomationCondition[Any]:
    """First steps follow the library; others, and all of a batch, what they take from."""
    if step.waits_for or pipeline.seeds.by_batch:
        return dg.AutomationCondition.eager()
    return after(bench.names.key("library"), bench.names.key("search_index"))


class _Execution:
    """One execution of a pipeline's op, over one batch where it is partitioned."""

    def __init__(
        self,
        bench: Workbench,
        pipeline: PipelineConfig,
        context: dg.AssetExecutionContext,
        batch: str | None,
        is_one_of_many: bool,
    ) -> None:
        self._bench, self._pipeline, self._context = bench, pipeline, context
        self._batch, self._many = batch, is_one_of_many
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
        run = self._run()
        try:
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
            self._failures.append(f"{asset}: there is no plan to carry out")
            return
        try:
            done = carry_out(self._bench, self._context, run, number, plan.plan)
        except AionError as error:
            self._failures.append(f"{asset}: {error}")
            return
        self._store.ledger.record_build(
            asset, self._batch or "", str(len(plan.plan)), done.done, {"run_id": run.run_id}
        )
        if done.failures:
            self._failures.append(f"{asset}: {len(done.failures)} files: {done.failures[0]}")
        yield dg.MaterializeResult(
            asset_key=self._bench.names.key(asset),
            metadata={
                "done": done.done,
                "so_already": done.there,
                "failed": len(done.failures),
                **done.facts,
            },
        )


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
