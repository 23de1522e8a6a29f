"""The sensor that turns new files into batches, partitions and runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from aion_dagster.config import LibraryConfig
from aion_dagster.errors import SourceError, StoreLockedError
from aion_dagster.identity import digest
from aion_dagster.ingest import ingest
from aion_dagster.planning import (
    Plan,
    Planner,
    configured_backend,
    partitioned_assets,
    whole_assets,
)
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.resources.sources import build_source
from aion_dagster.sensors.runs import batches_at_work, was_asked_for
from aion_dagster.storage.store import Store

TICK_SECONDS = 40.0
"""Listing stops after this time and continues in the next tick: Dagster ends a tick after 60 seconds."""

MOST_PARTITIONS = 1_000
"""Partitions added in one tick: Dagster's daemon takes about 3 ms for each."""

MOST_REPORTED = 200
"""Batches reported as made already in one tick: an event for each of their assets."""


RELOAD = "The configuration names other assets than are loaded: 'Reload definitions' takes it over."


def new_files_sensor(
    config: LibraryConfig, in_force: Callable[[], LibraryConfig] | None = None
) -> dg.SensorDefinition:
    """Scan the sources, record new batches, ask for their runs, and ask again for those that never started.

    Args:
        config: the library as its definitions are loaded.
        in_force: the library as it is configured at a tick, where that can change (`aion-dagster run` beside the UI).
            Runs are new processes and read it anew; a sensor that did not would ask for the same work for ever.
    """
    names = Names(config.name)

    @dg.sensor(
        name=names.job("new_files"),
        description="Looks for new files, makes batches of them and asks for their runs.",
        asset_selection=dg.AssetSelection.assets(
            *(names.key(a) for a in (*partitioned_assets(config), "labels"))
        ),
        minimum_interval_seconds=config.scan_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = in_force() if in_force else config
        if assets_of(now) != assets_of(config):
            return dg.SensorResult(skip_reason=RELOAD)
        store = open_store(now.store, now.name)
        try:
            with store.lock(exclusive=False, wait=False, what="the new-files sensor"):
                found = scan_sources(
                    now, store, context.cursor, deadline=time.monotonic() + TICK_SECONDS
                )
                for problem in found.problems:
                    context.log.error(problem)
                return tick(now, store, found, context.instance)
        except StoreLockedError as error:
            return dg.SensorResult(skip_reason=str(error))

    return new_files


def assets_of(config: LibraryConfig) -> tuple[str, ...]:
    """Store, library and assets: what is fixed once definitions are loaded."""
    return (config.store, config.name, *partitioned_assets(config), *whole_assets(config))


@dataclass
class Scan:
    """What a look at the sources came to.

    `places` maps a source to where its listing goes on in the next tick, where it came to no end; `problems` names
    the sources that could not be listed.
    """

    places: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        """The sensor's cursor."""
        return json.dumps(self.places, sort_keys=True)


def scan_sources(
    config: LibraryConfig, store: Store, cursor: str | None, *, deadline: float
) -> Scan:
    """Record the new files of every source as batches; a source that cannot be listed does not hold up the others."""
    before: Mapping[str, str] = json.loads(cursor) if cursor else {}
    found = Scan()
    for source in config.sources:
        try:
            result = ingest(
                build_source(source, max_bytes=config.max_file_bytes, documents=config.documents),
                store,
                batch_files=config.batch_files,
                batch_bytes=config.batch_bytes,
                cursor=before.get(source.name),
                deadline=deadline,
            )
        except SourceError as error:
            found.problems.append(str(error))
            continue
        if result.cursor is not None:
            found.places[source.name] = result.cursor
    return found


def tick(
    config: LibraryConfig, store: Store, found: Scan, instance: dg.DagsterInstance
) -> dg.SensorResult:
    """What a tick asks Dagster for, given the work that is left.

    Partitions are added before runs are asked for; batches whose tables are all there are reported as materialized
    without a run, so that a new instance over a full store costs nothing.

    Raises:
        SourceError: a source could not be listed, and there is nothing else that would be lost by a failed tick.
    """
    names = Names(config.name)
    planner = Planner(config, store, configured_backend(config))
    plan = planner.plan()
    recorded = [b.key for b in store.ledger.batches()]
    known = instance.get_existing_dynamic_partitions(names.partitions_name, recorded)
    missing = [b for b in recorded if b not in known]
    if plan.labels:
        # Annotations need the labels first; the batches follow in the next tick.
        return dg.SensorResult(
            run_requests=[labels_request(names, planner)],
            dynamic_partitions_requests=_add(names, missing),
            cursor=found.cursor,
        )
    at_work = batches_at_work(names, instance)
    requests = batch_requests(config, store, planner, plan, at_work, instance)
    reported = instance.get_materialized_partitions(names.key(partitioned_assets(config)[-1]))
    adopted = [b for b in recorded if b not in plan.batches and b not in at_work | reported]
    adopted = adopted[:MOST_REPORTED]
    needed = dict.fromkeys([*(r.partition_key or "" for r in requests), *adopted, *missing])
    missing = [b for b in needed if b not in known]
    idle = not (requests or missing or adopted or found.places)
    if found.problems and idle:
        raise SourceError("; ".join(found.problems))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=_add(names, missing),
        asset_events=[event for b in adopted for event in adopted_events(config, b)],
        skip_reason=None if requests else _nothing(plan, found, adopted),
        cursor=found.cursor,
    )


def labels_request(names: Names, planner: Planner) -> dg.RunRequest:
    """A run that imports the label files as they are now."""
    return dg.RunRequest(
        run_key=f"{names.job('labels')}-{planner.labels[:16]}",
        asset_selection=[names.key("labels")],
    )


def batch_requests(
    config: LibraryConfig,
    store: Store,
    planner: Planner,
    plan: Plan,
    at_work: frozenset[str],
    instance: dg.DagsterInstance,
) -> list[dg.RunRequest]:
    """Runs of stale batches, those first that never started.

    The run key follows from everything that the batch should be made from. So a batch is asked for again under the
    same key until it has started, and under a new one when its inputs changed; a batch that is at work is left
    alone, and so is one that failed: Dagster repeats its run, or a person does. One in which some rows failed for a
    time, or for want of a budget, is asked for once more on the next day, or as soon as the budgets change.
    """
    names = Names(config.name)
    started = {b.key for b in store.ledger.batches() if b.started_at is not None}
    requests: list[dg.RunRequest] = []
    for batch in sorted(plan.batches, key=started.__contains__):
        if len(requests) == config.max_batches_per_tick:
            break
        inputs: list[object] = [config.store, planner.expected(batch)]
        if batch in plan.incomplete:
            inputs += [datetime.now(UTC).date().isoformat(), config.budgets.model_dump(mode="json")]
        key = f"{names.job(batch)}-{digest(inputs)[:16]}"
        if batch not in at_work and not was_asked_for(key, instance):
            requests.append(
                dg.RunRequest(
                    run_key=key,
                    partition_key=batch,
                    asset_selection=[names.key(a) for a in plan.batches[batch]],
                )
            )
    return requests


def _nothing(plan: Plan, found: Scan, adopted: list[str]) -> str:
    """Why a tick asks for no run."""
    parts = list(found.problems)
    parts += [f"Still listing {name}." for name in found.places]
    if adopted:
        parts.append(f"{len(adopted)} batches were in the store already.")
    if plan.batches:
        parts.append(f"{len(plan.batches)} batches are at work or failed.")
    return " ".join(parts) or "No new files, nothing left to do."


def _add(names: Names, batches: list[str]) -> list[dg.AddDynamicPartitionsRequest]:
    chosen = batches[:MOST_PARTITIONS]
    return [names.partitions.build_add_request(chosen)] if chosen else []


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
