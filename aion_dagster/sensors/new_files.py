"""The sensor that turns new files into batches, partitions and runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from aion_dagster.backends.local import LocalBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import StoreLockedError
from aion_dagster.identity import digest
from aion_dagster.ingest import ingest
from aion_dagster.planning import Plan, Planner, partitioned_assets
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.resources.sources import build_source
from aion_dagster.storage.lock import StoreLock
from aion_dagster.storage.store import Store

TICK_SECONDS = 40.0
"""Listing stops after this time and continues in the next tick: Dagster ends a tick after 60 seconds."""


def new_files_sensor(
    config: LibraryConfig,
) -> dg.SensorDefinition:
    """Scan the sources, record new batches, ask for their runs, and ask again for those that never started."""
    names = Names(config.name)

    @dg.sensor(
        name=names.job("new_files"),
        asset_selection=dg.AssetSelection.assets(
            *(names.key(a) for a in (*partitioned_assets(config), "labels"))
        ),
        minimum_interval_seconds=config.scan_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = open_store(config.store, config.name)
        try:
            with StoreLock.shared(store.root, wait=False, what="the new-files sensor"):
                scan_sources(config, store, deadline=time.monotonic() + TICK_SECONDS)
                plan = Planner(config, store, LocalBackend(text_model=config.text_model)).plan()
                return tick(config, store, plan, context.instance)
        except StoreLockedError as error:
            return dg.SensorResult(skip_reason=str(error))

    return new_files


def scan_sources(config: LibraryConfig, store: Store, *, deadline: float) -> int:
    """Record the new files of every source as batches; returns how many batches are new."""
    found = 0
    for source in config.sources:
        result = ingest(
            build_source(source, max_bytes=config.max_file_bytes),
            store,
            batch_files=config.batch_files,
            batch_bytes=config.batch_bytes,
            deadline=deadline,
        )
        found += len(result.batches)
    return found


def wanted_batches(plan: Plan, unstarted: Collection[str], unknown: Collection[str]) -> list[str]:
    """Batches to ask runs for: those that never started, then those whose inputs changed since they were built.

    A batch that is at work or that failed is left alone: its run is retried by Dagster, or by a person.
    """
    fresh = [b for b in plan.batches if b in unstarted or b in unknown]
    changed = [b for b in plan.batches if b not in plan.never_built and b not in set(fresh)]
    return fresh + changed


def run_key(batch: str, prints: Mapping[str, str], assets: Sequence[str]) -> str:
    """A key that repeats exactly when the same work is asked for again."""
    return f"{batch}-{digest([prints[a] for a in assets])[:16]}"


def tick(
    config: LibraryConfig, store: Store, plan: Plan, instance: dg.DagsterInstance
) -> dg.SensorResult:
    """What a tick asks Dagster for, given the work that is left.

    Partitions of every recorded batch are added (again) before runs are asked for; batches whose tables are all
    there are reported as materialized without a run, so that a new instance over a full store costs nothing.
    """
    names = Names(config.name)
    planner = Planner(config, store, LocalBackend(text_model=config.text_model))
    records = store.ledger.batches()
    recorded = [b.key for b in records]
    known = instance.get_existing_dynamic_partitions(names.partitions_name, recorded)
    missing = [b for b in recorded if b not in known]
    if plan.labels:
        # Annotations need the labels first; the batches follow in the next tick.
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"labels-{planner.labels[:16]}", asset_selection=[names.key("labels")]
                )
            ],
            dynamic_partitions_requests=_add(names, missing),
        )
    unstarted = {b.key for b in records if b.started_at is None}
    wanted = wanted_batches(plan, unstarted, missing)[: config.max_batches_per_tick]
    adopted = [b for b in missing if b not in plan.batches]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=run_key(b, planner.batch(b), plan.batches[b]),
                partition_key=b,
                asset_selection=[names.key(a) for a in plan.batches[b]],
            )
            for b in wanted
        ],
        dynamic_partitions_requests=_add(names, missing),
        asset_events=[event for b in adopted for event in adopted_events(config, b)],
        skip_reason=None if wanted or missing else "No new files, nothing left to do.",
    )


def _add(names: Names, batches: list[str]) -> list[dg.AddDynamicPartitionsRequest]:
    return [names.partitions.build_add_request(batches)] if batches else []


def adopted_events(config: LibraryConfig, batch: str) -> list[dg.AssetMaterialization]:
    """Materializations of a batch whose tables exist already."""
    names = Names(config.name)
    return [
        dg.AssetMaterialization(
            names.key(asset),
            partition=batch,
            description="Was in the store before this Dagster instance knew of it.",
        )
        for asset in partitioned_assets(config)
    ]
