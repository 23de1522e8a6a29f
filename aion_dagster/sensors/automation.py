"""The sensor that evaluates automation conditions of a library's assets over all batches."""

from __future__ import annotations

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.pipelines.asset_names import pipeline_assets
from aion_dagster.planning import remote_assets, whole_assets
from aion_dagster.resources.naming import Names


def automation_sensor(config: LibraryConfig) -> dg.AutomationConditionSensorDefinition:
    """Runs by default: the library follows its batches by itself."""
    names = Names(config.name)
    return dg.AutomationConditionSensorDefinition(
        names.job("follow_batches"),
        description="Brings library, datasets and exports up to date once new batches are done.",
        target=dg.AssetSelection.assets(*(names.key(a) for a in followed_assets(config))),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=config.scan_seconds,
    )


def followed_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets that are made by themselves: those over all batches, those about a remote account, steps of pipelines."""
    is_watched = config.backend == "aionvision" and config.aionvision.remote_library.daily
    observed = ("remote_library",) if is_watched else ()
    steps = [a for p in config.pipelines if p.schedule == "on_new" for a in pipeline_assets(p)]
    return (*whole_assets(config), *remote_assets(config), *observed, *steps)
