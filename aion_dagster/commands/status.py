"""`aion-dagster status`: the configuration in force and what stands in the store."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import pyarrow.compute as pc
import yaml

from aion_dagster.commands.settings import store_config
from aion_dagster.config import LibraryConfig
from aion_dagster.costs import spending_caps
from aion_dagster.curation.library import live_rows
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.storage.store import Store

_REASONS: Final = 20
"""Reasons for missing descriptions that are named."""

_ABOUT: Final = (
    "# files, bytes, descriptions and documents count all that was taken in, also what was superseded or deleted"
    " since;\n# pictures_by_state tells these apart."
)


def status(args: Namespace) -> int:
    """Print it, for people or as JSON."""
    config = store_config(args)
    store = Store.open(config.store, library=config.name, create=False)
    facts = {**store_facts(config, store), "configuration": config.model_dump(mode="json")}
    if args.json:
        print(json.dumps(facts))
    else:
        print(_ABOUT)
        print(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True).rstrip())
    return 0


def store_facts(config: LibraryConfig, store: Store) -> dict[str, Any]:
    """Counts of files, pictures, descriptions, documents, links, batches and datasets, and the work that is left."""
    images = store.tables.dataset("images").to_table(columns=["status"])
    library = store.ledger.build("library")
    plan = Planner(config, store, configured_backend(config)).plan()
    records = store.ledger.batches()
    return {
        "store": str(store.root),
        "batches": len(records),
        "batches_kept_out": {b.key: b.blocked_reason for b in records if b.blocked_reason},
        "files": _counts(images["status"].to_pylist()),
        "bytes": _bytes(store),
        "pictures": 0 if library is None else library.rows,
        "pictures_by_state": _states(store),
        "descriptions": _descriptions(store),
        "documents": _counted(store, "documents", "text_extraction_status"),
        "links": _links(store),
        "budgets": _budgets(config, store),
        "datasets": {d.name: _dataset(store, d.name) for d in config.datasets},
        "left_to_do": {
            "labels": plan.labels,
            "batches": len(plan.batches),
            "assets": [*(plan.whole if records else ()), *plan.remote],
        },
    }


def _states(store: Store) -> dict[str, int]:
    """Distinct pictures that are there, that have another content by now, and whose files are gone."""
    if not store.tables.exists("library"):
        return {}
    rows = store.tables.read("library", columns=["superseded_by", "deleted_at"])
    superseded, deleted = (
        pc.sum(pc.is_valid(rows[c])).as_py() or 0 for c in ("superseded_by", "deleted_at")
    )
    return {
        "current": live_rows(rows).num_rows,
        "superseded": superseded,
        "deleted": deleted,
    }


def _budgets(config: LibraryConfig, store: Store) -> dict[str, dict[str, float]]:
    """What is spent and left of each budget; that of a run begins anew with each."""
    found: dict[str, dict[str, float]] = {}
    spent = store.ledger.spent_now()
    for cap in spending_caps(config.budgets):
        if cap.per not in spent:
            continue
        calls, credit = spent[cap.per]
        told = found[cap.per] = {}
        if cap.calls is not None:
            told |= {"calls_spent": calls, "calls_left": max(0, cap.calls - calls)}
        if cap.credits is not None:
            told |= {"credits_spent": credit, "credits_left": max(0.0, cap.credits - credit)}
    return found


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _counted(store: Store, table: str, column: str) -> dict[str, int]:
    """How often each word stands in a column; rows without one are `unknown`."""
    words = store.tables.dataset(table).to_table(columns=[column])[column].to_pylist()
    return _counts(word or "unknown" for word in words)


def _descriptions(store: Store) -> dict[str, Any]:
    """Distinct usable pictures by the state of their description; `missing` says why they have none, the most frequent first.

    A picture that several batches have is described when one of them says so.
    """
    table = store.tables.dataset("descriptions")
    is_completed = pc.field("description_status") == "completed"
    described = table.to_table(columns=["image_id"], filter=is_completed)["image_id"].unique()
    columns = ["image_id", "description_status", "description_error", "description_error_type"]
    # A file that is no picture is told of under `files`.
    is_none = pc.field("description_error_type").isin(["image"])
    others = table.to_table(columns=columns, filter=~is_completed & ~is_none)
    others = others.filter(pc.invert(pc.is_in(others["image_id"], described)))
    # The last batch of a picture says how it stands now.
    left = {row["image_id"]: row for row in others.to_pylist()}.values()
    states = ["completed"] * len(described) + [row["description_status"] for row in left]
    missing = Counter(row["description_error"] or row["description_status"] for row in left)
    return {"by_status": _counts(states), "missing": dict(missing.most_common(_REASONS))}


def _links(store: Store) -> dict[str, int]:
    """Links by the state of their crawl; those that were not saved by why."""
    columns = ["crawl_status", "error_type"]
    rows = store.tables.dataset("links").to_table(columns=columns).to_pylist()
    return _counts(row["crawl_status"] or row["error_type"] or "unknown" for row in rows)


def _bytes(store: Store) -> int:
    sizes = store.tables.dataset("images").to_table(columns=["size_bytes"])["size_bytes"]
    return pc.sum(sizes).as_py() or 0


def _dataset(store: Store, name: str) -> dict[str, Any]:
    """Current version of a dataset and where it was exported to."""
    return {
        "version": store.sets.current(f"dataset/{name}"),
        "exports": {e: str(store.exports.place(name, e)) for e in store.exports.names(name)},
    }
