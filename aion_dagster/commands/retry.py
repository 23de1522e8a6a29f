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
from aion_dagster.config import LibraryConfig
from aion_dagster.planning import has_remote_colors, has_remote_documents
from aion_dagster.resources.access import open_store
from aion_dagster.search.index_update import read_again
from aion_dagster.search.library_tables import shared_index
from aion_dagster.storage.store import Store

_FAILED: Final = {
    "uploads": "is_retryable",
    "descriptions": "description_is_retryable",
    "documents": "is_retryable",
    "write_back": "is_retryable",
    "links": "is_retryable",
}
"""Table of what calls brought → the column that is false where they failed for good."""

_MADE_OF: Final = {"descriptions": ("embeddings",), "documents": ("document_chunks",)}
"""Table → what is made of it by the batch."""


def retry(args: Namespace) -> int:
    """Forget final failures where asked to, then work on what is incomplete; the sources are not listed."""
    config = store_config(args)
    check_reachable(config)
    store = open_store(config.store, config.name)
    if args.all:
        forgotten = store.ledger.paid_calls("retry").forget_all()
        _forget_builds(config, store)
        print(  # noqa: T201 - the command's output
            f"{plural(forgotten, 'call')} that failed for good may be made again", file=sys.stderr
        )
    args.jobs, args.dataset = 1, None
    return run_on(args, config, take_in=False)


def _forget_builds(config: LibraryConfig, store: Store) -> None:
    """Have those tables made again that lack what calls were to bring, and what is made of them."""
    again = set(_failed_builds(config, store))
    for table, batch in again:
        for asset in (table, *_MADE_OF.get(table, ())):
            store.ledger.forget_build(asset, batch)
    batches = {batch for _, batch in again if batch}
    index = shared_index(store)
    if batches and index.exists():
        read_again(index.fetch(), batches)
        index.share()
        store.ledger.forget_build("search_index")


def _failed_builds(config: LibraryConfig, store: Store) -> Iterator[tuple[str, str]]:
    """Tables and batches (none where a table is not divided) with rows that failed for good."""
    for table, column in _FAILED.items():
        if table == "documents" and not has_remote_documents(config):
            continue
        for batch in store.tables.batches(table) or ([""] if store.tables.exists(table) else []):
            rows = store.tables.read(table, batch=batch or None)
            if table == "descriptions":  # files that are no pictures stay what they are
                rows = rows.filter(
                    pc.not_equal(pc.fill_null(rows["description_error_type"], ""), "image")
                )
            if pc.any(pc.invert(rows[column])).as_py():
                yield table, batch
    if has_remote_colors(config):
        for batch in store.tables.batches("color_analyses"):
            uploads = store.tables.read("uploads", batch=batch, columns=["status"])
            stored = uploads["status"].to_pylist().count("completed")
            if store.tables.read("color_analyses", batch=batch).num_rows < stored:
                yield "color_analyses", batch
