"""What `dagster dev` loads, and `build_definitions`, the one way from a configuration to Dagster definitions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from aion_dagster.assets.datasets import dataset_asset
from aion_dagster.assets.descriptions import description_asset, embedding_asset
from aion_dagster.assets.detections import detection_asset
from aion_dagster.assets.exports import card_asset, export_asset
from aion_dagster.assets.image_embeddings import image_embedding_asset
from aion_dagster.assets.labels import annotation_assets, label_asset
from aion_dagster.assets.library import library_asset, near_duplicate_asset, search_index_asset
from aion_dagster.assets.links import crawled_link_asset
from aion_dagster.assets.pictures import picture_assets
from aion_dagster.assets.pipelines import pipeline_asset, pipeline_job, pipeline_schedule
from aion_dagster.assets.workbench import Advance, Workbench, keys, silent
from aion_dagster.backends.pictures_ahead import PicturesAhead
from aion_dagster.checks.sources import scanned_check
from aion_dagster.config import DatasetConfig, LibraryConfig, PipelineConfig
from aion_dagster.pipelines.asset_names import pipeline_assets
from aion_dagster.planning import detection_tables, partitioned_assets, whole_assets
from aion_dagster.quiet import silence_preview_warnings
from aion_dagster.remote_definitions import remote_jobs, remote_library_assets
from aion_dagster.resources.compute import LocalComputeResource
from aion_dagster.resources.sources import SourceReader
from aion_dagster.resources.store import StoreResource
from aion_dagster.resources.tables import TableIOManager, TableSetIOManager
from aion_dagster.retry_definitions import offers_retry, retry_job
from aion_dagster.sensors.automation import automation_sensor, following_sensor
from aion_dagster.sensors.new_files import new_files_sensor
from aion_dagster.sensors.nightly import take_in_job, take_in_schedule

if TYPE_CHECKING:
    from aion_dagster.resources.aionvision import AionvisionResource

silence_preview_warnings()

BATCH_JOB = "batch"
LABELS_JOB = "import_labels"
LIBRARY_JOB = "update_library"
"""Jobs and ops share one namespace in Dagster: a job must not be called like an asset."""


def build_definitions(
    config: LibraryConfig,
    *,
    advance: Advance = silent,
    quiet: bool = False,
    in_force: Callable[[], LibraryConfig] | None = None,
    ahead: PicturesAhead | None = None,
) -> dg.Definitions:
    """The assets, checks, sensors, jobs and resources of one library.

    Several libraries share a code location by `dg.Definitions.merge(build_definitions(a), build_definitions(b))`: each
    has its own keys, partitions, pools, jobs, resources and folders, prefixed by its name.

    Args:
        config: what the library is made of.
        advance: told how many items an asset has done, for progress bars.
        quiet: run without console logs (the command line shows progress instead).
        in_force: the configuration as it is now, where it may change after it was loaded; the sensor goes by it.
        ahead: has the pictures of batches that are materialized one after the other in this process.
    """
    bench = Workbench(config, advance, ahead)
    names = bench.names
    jobs: list[Any] = [
        dg.define_asset_job(
            names.job(BATCH_JOB),
            selection=keys(names, partitioned_assets(config)),
            description="Everything about the pictures of one batch.",
        ),
        dg.define_asset_job(
            names.job(LABELS_JOB),
            selection=keys(names, ["labels"]),
            description="Reads the configured label files.",
        ),
        dg.define_asset_job(
            names.job(LIBRARY_JOB),
            selection=keys(names, whole_assets(config)),
            description="What all batches are together: the library, its datasets and their exports.",
        ),
    ]
    jobs += remote_jobs(config)
    if offers_retry(config):
        make = partial(build_definitions, quiet=True)
        jobs.append(retry_job(config, in_force, make, (BATCH_JOB, LIBRARY_JOB)))
    schedules: list[Any] = []
    for pipeline in config.pipelines:
        jobs.append(pipeline_job(bench, pipeline))
        if pipeline.is_scheduled:
            schedules.append(pipeline_schedule(bench, pipeline, jobs[-1]))
    if config.ingest == "schedule":
        take_in = take_in_job(config, in_force)
        jobs.append(take_in)
        schedules.append(take_in_schedule(config, take_in))
    return dg.Definitions(
        assets=library_assets(bench),
        asset_checks=[scanned_check(config, in_force)],
        resources=library_resources(config),
        jobs=jobs,
        schedules=schedules,
        sensors=[new_files_sensor(config, in_force), automation_sensor(config)],
        executor=dg.in_process_executor,
        loggers={"console": _silent_logger} if quiet else None,
    )


def dataset_definitions(config: LibraryConfig, dataset: DatasetConfig) -> dg.Definitions:
    """A further dataset of a library that has definitions of its own, which these are merged with."""
    own = config.model_copy(update={"datasets": (dataset,)})
    bench = Workbench(own)
    names = bench.names
    assets = dataset_assets(bench, dataset)
    made = [key for asset in assets for key in asset.keys]
    job = dg.define_asset_job(
        names.job(f"update_dataset_{dataset.name}"),
        selection=made,
        description=f"The dataset {dataset.name}, its exports and its card.",
    )
    sensor = following_sensor(
        config,
        f"follow_dataset_{dataset.name}",
        made,
        description="Brings the dataset and its exports up to date once the library is.",
    )
    return dg.Definitions(assets=assets, jobs=[job], sensors=[sensor])


def pipeline_definitions(config: LibraryConfig, pipeline: PipelineConfig) -> dg.Definitions:
    """A further pipeline on a library that has definitions of its own, which these are merged with."""
    bench = Workbench(config.model_copy(update={"pipelines": (pipeline,)}))
    job = pipeline_job(bench, pipeline)
    sensors = []
    if pipeline.schedule == "on_new":
        sensors.append(
            following_sensor(
                config,
                f"follow_pipeline_{pipeline.name}",
                [bench.names.key(asset) for asset in pipeline_assets(pipeline)],
                description="Runs the pipeline once there is something new.",
            )
        )
    return dg.Definitions(
        assets=[pipeline_asset(bench, pipeline)],
        jobs=[job],
        schedules=[pipeline_schedule(bench, pipeline, job)] if pipeline.is_scheduled else [],
        sensors=sensors,
    )


def dataset_assets(bench: Workbench, dataset: DatasetConfig) -> list[dg.AssetsDefinition]:
    """A dataset, its exports and its card."""
    exports = [export_asset(bench, dataset, e) for e in dataset.exports]
    return [dataset_asset(bench, dataset), *exports, card_asset(bench, dataset)]


def library_assets(bench: Workbench) -> list[Any]:
    """Every asset of a library, in topological order."""
    config = bench.config
    assets: list[Any] = [label_asset(bench), picture_assets(bench)]
    assets += [detection_asset(bench, operation) for operation in detection_tables(config)]
    if config.backend == "aionvision":
        assets += remote_library_assets(bench)
    if config.links.urls:
        assets.append(crawled_link_asset(bench))
    assets += [description_asset(bench), embedding_asset(bench)]
    if config.models.joint is not None:
        assets.append(image_embedding_asset(bench))
    if config.documents:
        from aion_dagster.assets.documents import document_assets

        assets.append(document_assets(bench))
    assets += [
        annotation_assets(bench),
        library_asset(bench),
        near_duplicate_asset(bench),
        search_index_asset(bench),
    ]
    for dataset in config.datasets:
        assets += dataset_assets(bench, dataset)
    assets += [pipeline_asset(bench, pipeline) for pipeline in config.pipelines]
    return assets


def library_resources(config: LibraryConfig) -> dict[str, Any]:
    """The resources of a library under its prefixed keys."""
    names = Workbench(config).names
    place = {"uri": config.store, "library": config.name}
    return {
        names.store: StoreResource(**place),
        names.tables: TableIOManager(**place),
        names.resource("table_sets"): TableSetIOManager(**place),
        names.resource("sources"): SourceReader.from_config(config),
        names.resource("compute"): _compute(config),
    }


def _compute(config: LibraryConfig) -> LocalComputeResource | AionvisionResource:
    """Who answers heavy questions."""
    local: dict[str, Any] = {
        "text_model": config.text_model,
        "models": config.models.model_dump(mode="json", exclude_defaults=True),
    }
    if config.endpoint is not None:
        local["endpoint"] = config.endpoint.model_dump(mode="json", exclude_defaults=True)
    if config.backend == "local":
        return LocalComputeResource(**local)
    from aion_dagster.resources.aionvision import AionvisionResource

    settings = config.aionvision.model_dump(mode="json", exclude_defaults=True)
    return AionvisionResource(settings=settings, local=local)


def _no_console(_context: dg.InitLoggerContext) -> logging.Logger:
    """A logger that writes nothing: the command line shows progress instead."""
    logger = logging.Logger("aion_dagster.silent")
    logger.addHandler(logging.NullHandler())
    return logger


_silent_logger = dg.LoggerDefinition(_no_console)


@dg.definitions
def defs() -> dg.Definitions:
    """The library that the environment, `AION_CONFIG` or the store's remembered configuration describes."""
    return build_definitions(LibraryConfig.from_env(), in_force=LibraryConfig.from_env)
