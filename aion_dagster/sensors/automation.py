"""Sensors that evaluate automation conditions: of a library's assets over all batches, and of what is added to it."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.pipelines.asset_names import pipeline_assets
from aion_dagster.planning import remote_assets, whole_assets
from aion_dagster.resources.naming import Names


def automation_sensor(config: LibraryConfig) -> dg.AutomationConditionSensorDefinition:
    """The library follows its batches by itself."""
    names = Names(config.name)
    return following_sensor(
        config,
        "follow_batches",
        [names.key(asset) for asset in followed_assets(config)],
        description="Brings library, datasets and exports up to date once new batches are done.",
    )


def following_sensor(
    config: LibraryConfig, name: str, assets: Iterable[dg.AssetKey], *, description: str
) -> dg.AutomationConditionSensorDefinition:
    """Makes assets of a library as their automation conditions say; runs by default.

    Args:
        config: the library, whose name the sensor's is prefixed with.
        name: what the sensor does.
        assets: what it makes.
        description: of the sensor.
    """
    return dg.AutomationConditionSensorDefinition(
        Names(config.name).job(name),
        description=description,
        target=dg.AssetSelection.assets(*assets),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=config.scan_seconds,
    )


def followed_assets(config: LibraryConfig) -> tuple[str, ...]:
    """Assets that are made by themselves: those over all batches, those about a remote account, steps of pipelines."""
    is_watched = config.backend == "aionvision" and config.aionvision.remote_library.daily
    observed = ("remote_library",) if is_watched else ()
    steps = [a for p in config.pipelines if p.schedule == "on_new" for a in pipeline_assets(p)]
    return (*whole_assets(config), *remote_assets(config), *observed, *steps)
