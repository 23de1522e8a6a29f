"""`aion-dagster retry`: make the calls once more that failed for a time; with `--all` also those that failed for good."""

from __future__ import annotations

import sys
from argparse import Namespace

from aion_dagster.commands.run import run_on
from aion_dagster.commands.settings import check_reachable, store_config
from aion_dagster.commands.summary import plural
from aion_dagster.resources.access import open_store
from aion_dagster.retries import forget_failures
from aion_dagster.storage.store import Store


def retry(args: Namespace) -> int:
    """Forget final failures where asked to, then work on what is incomplete; the sources are not listed."""
    config = store_config(args)
    Store.open(
        config.store, library=config.name, create=False
    ).close()  # a mistyped place is not made
    check_reachable(config)
    store = open_store(config.store, config.name)
    if args.all:
        forgotten = forget_failures(config, store).calls
        print(
            f"{plural(forgotten, 'call')} that failed for good may be made again", file=sys.stderr
        )
    args.jobs, args.dataset = 1, None
    return run_on(args, config, take_in=False)
