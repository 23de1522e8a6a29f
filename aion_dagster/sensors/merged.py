"""What an instance is told of batches that were merged into others."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.planning import Planner, configured_backend, partitioned_assets, whole_assets
from aion_dagster.resources.naming import Names
from aion_dagster.sensors.runs import known_partitions
from aion_dagster.storage.store import Store

_NOTHING_NEW = "Batches were merged; nothing was computed."


def retired_partitions(names: Names, store: Store, instance: dg.DagsterInstance) -> list[str]:
    """Partitions of an instance whose batches are no more; sorted."""
    retired = store.ledger.retired()
    return sorted(known_partitions(names, retired, instance)) if retired else []


def whole_events(
    config: LibraryConfig, store: Store, adopted: Collection[str]
) -> list[dg.AssetMaterialization]:
    """What an instance that learns of merged batches is told of assets over all batches: those are as they were."""
    if not set(adopted) & set(store.ledger.retired().values()):
        return []
    stale = set(Planner(config, store, configured_backend(config)).plan().whole)
    names = Names(config.name)
    return [_event(names, a, None) for a in whole_assets(config) if a not in stale]


def report_merged(
    config: LibraryConfig,
    store: Store,
    instance: dg.DagsterInstance,
    new: Collection[str],
    whole: Collection[str],
) -> int:
    """Have the instance know the merged batches instead of the old ones, and nothing to do; how many partitions went.

    Args:
        config: the library.
        store: its store.
        instance: what is told.
        new: the merged batches.
        whole: assets over all batches that are up to date.
    """
    names = Names(config.name)
    if new:
        instance.add_dynamic_partitions(names.partitions_name, sorted(new))
    own = [t for t in store.tables.names() if not store.tables.has_fixed_schema(t)]
    for batch in sorted(new):
        for asset in (*partitioned_assets(config), *own):
            if store.tables.is_partitioned(asset) and store.tables.exists(asset, batch):
                _report(names, instance, asset, batch)
    # After the batches: what follows them is not older than they are.
    for asset in whole:
        _report(names, instance, asset, None)
    gone = retired_partitions(names, store, instance)
    for batch in gone:
        instance.delete_dynamic_partition(names.partitions_name, batch)
    return len(gone)


def _report(names: Names, instance: dg.DagsterInstance, asset: str, batch: str | None) -> None:
    instance.report_runless_asset_event(_event(names, asset, batch))


def _event(names: Names, asset: str, batch: str | None) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(names.key(asset), partition=batch, description=_NOTHING_NEW)
