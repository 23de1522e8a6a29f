"""pipeline/<name>/<step>: what agents found and said, step by step."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from aion_dagster.assets.automation import after
from aion_dagster.assets.pipeline_execution import OCCASION_TAG, Execution, of_several
from aion_dagster.assets.workbench import Workbench, keys
from aion_dagster.checks.pipelines import step_check_specs
from aion_dagster.config import PipelineConfig
from aion_dagster.identity import digest
from aion_dagster.pipelines.asset_names import applied_assets, step_assets, upstream_assets
from aion_dagster.pipelines.graph import Wired
from aion_dagster.resources.naming import Names

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
        if not partitions:
            yield from Execution(bench, pipeline, context).events()
        elif len(context.partition_keys) == 1:
            yield from Execution(bench, pipeline, context, context.partition_key).events()
        else:
            yield from of_several(
                Execution(bench, pipeline, context, batch) for batch in context.partition_keys
            )

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
    config = bench.config
    has_links = bool(config.links.urls or config.aionvision.links)
    upstream = upstream_assets(pipeline, documents=config.documents != (), links=has_links)
    applied = applied_assets(pipeline)
    by_itself = pipeline.schedule == "on_new"
    specs = []
    for step, asset, asked in zip(pipeline.wired(), assets, pipeline.steps, strict=True):
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
                description=f"{VERBS[step.agent]}: {asked.intent}",
                kinds={"parquet", "markdown"},
                code_version=digest(asked.model_dump(mode="json"))[:16],
            )
        )
        if step.number in applied:
            specs.append(
                spec(
                    key=names.key(applied[step.number]),
                    deps=[names.key(asset)],
                    description=f"Carries the plan of {asset} out: {asked.apply and asked.apply.to}.",
                    automation_condition=dg.AutomationCondition.eager() if by_itself else None,
                )
            )
    return specs


def _condition(
    bench: Workbench, pipeline: PipelineConfig, step: Wired
) -> dg.AutomationCondition[Any]:
    """First steps follow the library; others, and all of a batch, what they take from."""
    if step.waits_for or pipeline.seeds.by_batch or step.agent == "link_search":
        return dg.AutomationCondition.eager()
    return after(bench.names.key("library"), bench.names.key("search_index"))
