"""The sensor that evaluates automation conditions of a library's assets over all batches."""

from __future__ import annotations

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.planning import whole_assets
from aion_dagster.resources.naming import Names


def automation_sensor(config: LibraryConfig) -> dg.AutomationConditionSensorDefinition:
    """Runs by default: the library follows its batches by itself."""
    names = Names(config.name)
    return dg.AutomationConditionSensorDefinition(
        names.job("follow_batches"),
        description="Brings library, datasets and exports up to date once new batches are done.",
        target=dg.AssetSelection.assets(*(names.key(a) for a in whole_assets(config))),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=config.scan_seconds,
    )
