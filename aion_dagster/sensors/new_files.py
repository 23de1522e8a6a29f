"""The sensor that turns new files into batches, partitions and runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from aion_dagster.checks.sources import overdue, scanned_evaluation, source_states
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import SourceError, StoreLockedError
from aion_dagster.planning import partitioned_assets, remote_assets, whole_assets
from aion_dagster.resources.access import open_store
from aion_dagster.resources.naming import Names
from aion_dagster.sensors.merged import retired_partitions, whole_events
from aion_dagster.sensors.runs import known_partitions
from aion_dagster.sensors.scanning import Cursor, Scan, scan_sources
from aion_dagster.sensors.work import Work
from aion_dagster.storage.store import Store

TICK_SECONDS = 30.0
"""Listing stops after this time and continues in the next tick: Dagster ends a tick after 60 seconds."""

MOST_PARTITIONS = 1_000
"""Partitions added in one tick: Dagster's daemon takes about 3 ms for each."""

MOST_REPORTED = 200
"""Batches reported as made already in one tick: an event for each of their assets."""

RELOAD = "The configuration names other assets than are loaded: 'Reload definitions' takes it over."

_MOST_LOGGED = 20


def new_files_sensor(
    config: LibraryConfig, in_force: Callable[[], LibraryConfig] | None = None
) -> dg.SensorDefinition:
    """Scan the sources, record new batches, ask for their runs, and ask again for those that never started.

    Where files are taken in by a schedule, the sensor leaves the sources alone and does the rest.

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
            *(names.key(a) for a in (*partitioned_assets(config), "labels", "library"))
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
                return tick(now, store, context)
        except StoreLockedError as error:
            return dg.SensorResult(skip_reason=str(error))

    return new_files


def assets_of(config: LibraryConfig) -> tuple[str, ...]:
    """Store, library and assets: what is fixed once definitions are loaded."""
    over_all = (*whole_assets(config), *remote_assets(config))
    return (config.store, config.name, *partitioned_assets(config), *over_all)


def tick(
    config: LibraryConfig, store: Store, context: dg.SensorEvaluationContext
) -> dg.SensorResult:
    """Look at the sources as far as there is room, and ask Dagster for the work that is left.

    Raises:
        SourceError: a source could not be listed, and there is nothing else that would be lost by a failed tick.
    """
    cursor = Cursor.parse(context.cursor)
    work = Work(config, store, context.instance)
    found = _look(config, store, cursor, work)
    for problem in found.problems:
        context.log.error(problem)
    for loss in found.losses[:_MOST_LOGGED]:
        context.log.warning(f"{loss.kind}: {loss.subject}: {loss.detail}")
    if found.batches or found.deleted:
        work = Work(config, store, context.instance)
    return _result(config, store, cursor, found, work, context.instance)


def _look(config: LibraryConfig, store: Store, cursor: Cursor, work: Work) -> Scan:
    """Scan the sources, unless others do, or enough is under way."""
    if config.ingest == "schedule":
        return Scan.none(cursor, "")
    room = config.max_unfinished_batches - work.unfinished
    if room <= 0:
        reason = f"{work.unfinished} batches are unfinished: no new ones before some are done."
        return Scan.none(cursor, reason)
    return scan_sources(
        config,
        store,
        cursor,
        deadline=time.monotonic() + TICK_SECONDS,
        most=min(room, config.max_batches_per_tick),
    )


def _result(
    config: LibraryConfig,
    store: Store,
    cursor: Cursor,
    found: Scan,
    work: Work,
    instance: dg.DagsterInstance,
) -> dg.SensorResult:
    """What a tick asks Dagster for.

    Partitions are added before runs are asked for; batches whose tables are all there are reported as materialized
    without a run, so that a new instance over a full store costs nothing.
    """
    names = Names(config.name)
    known = known_partitions(names, work.recorded, instance)
    requests, adopted = [work.labels()] if work.plan.labels else work.requests(), list[str]()
    if (
        not work.plan.labels
    ):  # annotations need the labels first; the batches follow in the next tick
        requests += work.library()
        adopted = _made_elsewhere(config, work, instance)[:MOST_REPORTED]
    needed = dict.fromkeys(
        [*(r.partition_key for r in requests if r.partition_key), *adopted, *work.recorded]
    )
    missing = [b for b in needed if b not in known]
    states = source_states(config, store)
    late = overdue(config, states)
    events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = [
        event for batch in adopted for event in adopted_events(config, batch)
    ]
    events += whole_events(config, store, adopted)
    if late != cursor.overdue:
        events.append(scanned_evaluation(config, states))
    after = Cursor(found.places, found.first, late)
    if found.problems and not (requests or missing or events or after != cursor):
        raise SourceError("; ".join(found.problems))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            *_add(names, missing),
            *_delete(names, retired_partitions(names, store, instance)),
        ],
        asset_events=events,
        skip_reason=None if requests else _nothing(work, found, adopted),
        cursor=after.dump(),
    )


def _made_elsewhere(config: LibraryConfig, work: Work, instance: dg.DagsterInstance) -> list[str]:
    """Batches that need no run, and that the instance does not know to be made."""
    reported = instance.get_materialized_partitions(
        Names(config.name).key(partitioned_assets(config)[-1])
    )
    done = work.at_work | reported
    return [b for b in work.recorded if b not in work.plan.batches and b not in done]


def _nothing(work: Work, found: Scan, adopted: list[str]) -> str:
    """Why a tick asks for no run."""
    parts = [*found.problems, *filter(None, [found.reason])]
    parts += [f"Still listing {name}." for name in found.places]
    if found.unsettled:
        parts.append(f"{found.unsettled} files changed a moment ago and are left for later.")
    if adopted:
        parts.append(f"{len(adopted)} batches were in the store already.")
    if work.plan.batches:
        parts.append(f"{len(work.plan.batches)} batches are at work or failed.")
    return " ".join(parts) or "No new files, nothing left to do."


def _add(names: Names, batches: list[str]) -> list[dg.AddDynamicPartitionsRequest]:
    chosen = batches[:MOST_PARTITIONS]
    return [names.partitions.build_add_request(chosen)] if chosen else []


def _delete(names: Names, batches: list[str]) -> list[dg.DeleteDynamicPartitionsRequest]:
    """Batches that were merged into others have no partition."""
    chosen = batches[:MOST_PARTITIONS]
    return [names.partitions.build_delete_request(chosen)] if chosen else []


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
