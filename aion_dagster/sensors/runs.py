"""What an instance knows of the runs of batches."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import dagster as dg

from aion_dagster.resources.naming import Names

RUN_KEY = "dagster/run_key"
PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that will go on by themselves; one that is NOT_STARTED goes on when it is asked for again."""

_KEYS_AT_ONCE = 500

_PARTITIONS_AT_ONCE = 10_000
"""In one statement; SQLite has a limit of its variables (32,766, in old versions 999)."""


def batches_at_work(
    names: Names, assets: Iterable[str], instance: dg.DagsterInstance
) -> frozenset[str]:
    """Batches that some unfinished run about `assets` of this library is about, whoever started it."""
    batches: set[str] = set()
    order: list[str] = []
    own = {names.key(asset) for asset in assets}
    for run in instance.get_runs(dg.RunsFilter(statuses=AT_WORK)):
        if run.asset_selection and own.isdisjoint(run.asset_selection):
            continue  # another library may have the same files
        if PARTITION in run.tags:
            batches.add(run.tags[PARTITION])
        elif RANGE_START in run.tags:
            order = order or list(instance.get_dynamic_partitions(names.partitions_name))
            first, last = run.tags[RANGE_START], run.tags[RANGE_END]
            if first in order and last in order:  # not a range of another library
                batches.update(order[order.index(first) : order.index(last) + 1])
    return frozenset(batches)


def asked_for(run_keys: Iterable[str], instance: dg.DagsterInstance) -> frozenset[str]:
    """Run keys whose run has gone beyond being reserved: Dagster would not start another."""
    keys = iter(run_keys)
    found: set[str] = set()
    while chunk := list(islice(keys, _KEYS_AT_ONCE)):
        for run in instance.get_runs(dg.RunsFilter(tags={RUN_KEY: chunk})):
            if run.status != dg.DagsterRunStatus.NOT_STARTED:
                found.add(run.tags[RUN_KEY])
    return frozenset(found)


def known_partitions(
    names: Names, batches: Iterable[str], instance: dg.DagsterInstance
) -> frozenset[str]:
    """Those of `batches` that the instance has partitions for."""
    keys = iter(batches)
    found: set[str] = set()
    while chunk := list(islice(keys, _PARTITIONS_AT_ONCE)):
        found |= instance.get_existing_dynamic_partitions(names.partitions_name, chunk)
    return frozenset(found)
