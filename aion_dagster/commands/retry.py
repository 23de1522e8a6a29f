"""`aion-dagster retry`: make the calls once more that failed for a time; with `--all` also those that failed for good."""

from __future__ import annotations

import sys
from argparse import Namespace

import pyarrow.compute as pc

from aion_dagster.commands.run import run_on
from aion_dagster.commands.settings import check_reachable, store_config
from aion_dagster.resources.access import open_store
from aion_dagster.storage.store import Store


def retry(args: Namespace) -> int:
    """Forget final failures where asked to, then work on what is incomplete; the sources are not listed."""
    config = store_config(args)
    check_reachable(config)
    store = open_store(config.store, config.name)
    if args.all:
        forgotten = store.ledger.paid_calls("retry").forget_all()
        for batch in _failed_batches(store):
            store.ledger.forget_build("descriptions", batch)
        print(f"{forgotten} calls that failed for good may be made again", file=sys.stderr)  # noqa: T201
    args.jobs, args.dataset = 1, None
    return run_on(args, config, take_in=False)


def _failed_batches(store: Store) -> list[str]:
    """Batches that have a picture without a description."""
    failed = []
    for batch in store.tables.batches("descriptions"):
        column = ["description_status"]
        rows = store.tables.read("descriptions", batch=batch, columns=column)
        if pc.any(pc.not_equal(rows["description_status"], "completed")).as_py():
            failed.append(batch)
    return failed
