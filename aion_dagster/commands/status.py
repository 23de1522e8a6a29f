"""`aion-dagster status`: the configuration in force and what stands in the store."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from typing import Any

import pyarrow.compute as pc
import yaml

from aion_dagster.commands.settings import store_config
from aion_dagster.config import LibraryConfig
from aion_dagster.planning import Planner, configured_backend
from aion_dagster.storage.store import Store


def status(args: Namespace) -> int:
    """Print it, for people or as JSON."""
    config = store_config(args)
    store = Store.open(config.store, library=config.name, create=False)
    facts = {"configuration": config.model_dump(mode="json"), **store_facts(config, store)}
    if args.json:
        print(json.dumps(facts))  # noqa: T201 - the command's output
    else:
        print(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True).rstrip())  # noqa: T201
    return 0


def store_facts(config: LibraryConfig, store: Store) -> dict[str, Any]:
    """Counts of files, pictures, batches and datasets, and the work that is left."""
    images = store.tables.dataset("images").to_table(columns=["status"])
    library = store.ledger.build("library")
    plan = Planner(config, store, configured_backend(config)).plan()
    records = store.ledger.batches()
    return {
        "store": str(store.root),
        "batches": len(records),
        "batches_kept_out": {b.key: b.blocked_reason for b in records if b.blocked_reason},
        "files": dict(sorted(Counter(images["status"].to_pylist()).items())),
        "bytes": _bytes(store),
        "pictures": 0 if library is None else library.rows,
        "datasets": {d.name: _dataset(store, d.name) for d in config.datasets},
        "left_to_do": {
            "labels": plan.labels,
            "batches": len(plan.batches),
            "assets": [*(plan.whole if records else ()), *plan.remote],
        },
    }


def _bytes(store: Store) -> int:
    sizes = store.tables.dataset("images").to_table(columns=["size_bytes"])["size_bytes"]
    return pc.sum(sizes).as_py() or 0


def _dataset(store: Store, name: str) -> dict[str, Any]:
    """Current version of a dataset and where it was exported to."""
    return {
        "version": store.sets.current(f"dataset/{name}"),
        "exports": {e: str(store.exports.place(name, e)) for e in store.exports.names(name)},
    }
