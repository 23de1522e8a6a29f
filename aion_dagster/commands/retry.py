"""`aion-dagster retry`: make the calls once more that failed for a time; with `--all` also those that failed for good."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Final

import pyarrow.compute as pc

from aion_dagster.commands.run import run_on
from aion_dagster.commands.settings import check_reachable, store_config
from aion_dagster.commands.summary import plural
from aion_dagster.resources.access import open_store
from aion_dagster.storage.store import Store

_STATUS: Final = {"uploads": "status", "descriptions": "description_status"}
"""Table of what paid calls brought → the column that says whether they did."""


def retry(args: Namespace) -> int:
    """Forget final failures where asked to, then work on what is incomplete; the sources are not listed."""
    config = store_config(args)
    check_reachable(config)
    store = open_store(config.store, config.name)
    if args.all:
        forgotten = store.ledger.paid_calls("retry").forget_all()
        for table, batch in _failed_builds(store):
            store.ledger.forget_build(table, batch)
        print(  # noqa: T201 - the command's output
            f"{plural(forgotten, 'call')} that failed for good may be made again", file=sys.stderr
        )
    args.jobs, args.dataset = 1, None
    return run_on(args, config, take_in=False)


def _failed_builds(store: Store) -> Iterator[tuple[str, str]]:
    """Tables and batches that lack what paid calls were to bring."""
    for table, column in _STATUS.items():
        for batch in store.tables.batches(table):
            rows = store.tables.read(table, batch=batch, columns=[column])
            if pc.any(pc.not_equal(rows[column], "completed")).as_py():
                yield table, batch
