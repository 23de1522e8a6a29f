"""What failed in a store and may be tried again: which work that is, and how failures for good become such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from aion_dagster.config import LibraryConfig
from aion_dagster.planning import (
    Planner,
    configured_backend,
    has_remote_colors,
    has_remote_documents,
)
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


@dataclass(frozen=True)
class Forgotten:
    """How many calls that failed for good may be made again, and the tables (and batches) that are made again for it."""

    calls: int = 0
    builds: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Unfinished:
    """Work in which rows failed that another time may bring: batch → assets, and assets about a remote account."""

    batches: Mapping[str, tuple[str, ...]]
    remote: tuple[str, ...]


def unfinished_work(
    config: LibraryConfig, store: Store, forgotten: Forgotten | None = None
) -> Unfinished:
    """What may be tried again now, and nothing else: neither new files nor what a changed configuration asks for."""
    planner = Planner(config, store, configured_backend(config))
    plan = planner.plan()
    builds = forgotten.builds if forgotten is not None else frozenset()
    batches = plan.incomplete | {batch for _, batch in builds}
    remote = [a for a in plan.remote if planner.is_unfinished(a) or (a, "") in builds]
    return Unfinished({b: a for b, a in plan.batches.items() if b in batches}, tuple(remote))


def forget_failures(config: LibraryConfig, store: Store) -> Forgotten:
    """Make calls that failed for good possible again, and have those tables made again that lack what they were to bring."""
    calls = store.ledger.paid_calls("retry").forget_all()
    again = frozenset(_failed_builds(config, store))
    for table, batch in again:
        for asset in (table, *_MADE_OF.get(table, ())):
            store.ledger.forget_build(asset, batch)
    batches = {batch for _, batch in again if batch}
    index = shared_index(store)
    if batches and index.exists():
        read_again(index.fetch(), batches)
        index.share()
        store.ledger.forget_build("search_index")
    return Forgotten(calls, again)


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
