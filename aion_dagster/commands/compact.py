"""`aion-dagster compact`: small old batches become larger ones; nothing is computed, no dataset changes."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta

from aion_dagster.commands.quiet import quiet_console
from aion_dagster.commands.saying import say
from aion_dagster.commands.settings import store_config
from aion_dagster.commands.summary import plural
from aion_dagster.compacting import Compacted, Compacting, Group, Limits
from aion_dagster.planning import partitioned_assets
from aion_dagster.resources.access import open_store
from aion_dagster.resources.instance import embedded_instance, report_dead_runs
from aion_dagster.resources.naming import Names
from aion_dagster.sensors.merged import report_merged
from aion_dagster.sensors.runs import batches_at_work
from aion_dagster.storage.store import Store


def compact(args: Namespace) -> int:
    """Merge what may be merged, or only say what that is; the exit status."""
    config = store_config(args)
    Store.open(config.store, library=config.name, create=False)
    store = open_store(config.store, config.name)
    quiet_console()
    limits = Limits(
        args.batch_size or config.batch_files,
        config.batch_bytes,
        timedelta(days=args.older_than),
    )
    with store.lock(wait=not args.no_wait, on_wait=say, what="aion-dagster compact"):
        store.sweep()
        with embedded_instance(config.store) as instance:
            report_dead_runs(instance, config.store)
            at_work = batches_at_work(Names(config.name), partitioned_assets(config), instance)
            compacting = Compacting(config, store, at_work=at_work)
            groups = compacting.groups(limits)
            done = Compacted()
            if not args.dry_run:
                done = compacting.merge(groups, lambda _batch: None)
                report_merged(config, store, instance, set(done.renamed.values()), done.whole)
    if args.json:
        print(json.dumps(_facts(groups, done, dry_run=args.dry_run)))
    else:
        print("\n".join(_lines(groups, dry_run=args.dry_run)))
    return 0


def _facts(groups: Sequence[Group], done: Compacted, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "batches": sum(map(len, groups)),
        "merged_into": len(groups),
        "groups": [[batch.key for batch in group] for group in groups],
        "renamed": dict(done.renamed),
    }


def _lines(groups: Sequence[Group], *, dry_run: bool) -> list[str]:
    if not groups:
        return ["No batches to merge: those that are small are too young, incomplete, or alone."]
    lines = [
        f"{plural(len(group), 'batch')} of {group[0].source}, {plural(_files(group), 'file')}:"
        f" {group[0].key} … {group[-1].key}"
        for group in groups
    ]
    verb = "would become" if dry_run else "became"
    return [*lines, f"{plural(sum(map(len, groups)), 'batch')} {verb} {len(groups)}"]


def _files(group: Group) -> int:
    return sum(batch.file_count for batch in group)
