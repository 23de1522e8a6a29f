"""What the files over all batches tell of a lost ledger: which versions are current, what is gone, what is up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from aion_dagster.config import LibraryConfig
from aion_dagster.configured_exports import is_as_configured
from aion_dagster.curation.library import live_rows
from aion_dagster.descriptions_made import words_by_batch
from aion_dagster.errors import StorageError
from aion_dagster.planning import REVISION, Planner, whole_assets
from aion_dagster.search.index_file import open_for_reading
from aion_dagster.search.library_tables import shared_index
from aion_dagster.storage.ledger_database import now
from aion_dagster.storage.ledger_restored import RestoredBuild, RestoredLedger
from aion_dagster.storage.parquet import read_footer
from aion_dagster.storage.store import Store
from aion_dagster.storage.tables import UNPARTITIONED
from aion_dagster.values import FileRef


@dataclass(frozen=True)
class LibraryFacts:
    """What the library knew when it was made.

    Attributes:
        current: the files of pictures in use, in the version that was current.
        deleted: files (source, URI) that were gone, and when that was noticed.
        batches: the batches that it was made of.
        revision: `Ledger.revision` as it was then.
    """

    current: tuple[FileRef, ...]
    deleted: Mapping[tuple[str, str], datetime]
    batches: frozenset[str]
    revision: int


def library_facts(store: Store) -> LibraryFacts | None:
    """What the library knew; None where there is none."""
    if not store.tables.exists("library"):
        return None
    footer = read_footer(store.tables.path("library"))
    current: dict[tuple[str, str], FileRef] = {}
    deleted: dict[tuple[str, str], datetime] = {}
    known: set[str] = set()
    columns = ["locations", "superseded_by", "deleted_at", "modified_at"]
    for row in store.tables.read("library", columns=columns).to_pylist():
        for place in row["locations"]:
            known.add(place["batch"])
            name = place["source"], place["uri"]
            if row["deleted_at"] is not None:
                deleted[name] = row["deleted_at"]
            elif row["superseded_by"] is None:
                facts = {k: v for k, v in place.items() if k != "batch"}
                current[name] = FileRef(**facts, modified_at=row["modified_at"])
    gone = {name: moment for name, moment in deleted.items() if name not in current}
    revision = int(footer.facts.get("info", {}).get(REVISION, len(gone)))
    return LibraryFacts(tuple(current.values()), gone, frozenset(known), revision)


def restore_wholes(
    config: LibraryConfig, store: Store, ledger: RestoredLedger, planner: Planner
) -> int:
    """Note the builds of labels, library, index, datasets and exports that are as the store tells; how many."""
    noted = 0
    for build in _tables(store):
        noted += ledger.note_builds([build])
    for name in store.sets.names():
        noted += ledger.note_builds(_set(store, name))
    if _is_index_current(store):
        fingerprint = planner.whole("search_index")
        noted += ledger.note_builds([RestoredBuild("search_index", "", fingerprint, 0, {}, now())])
    for asset in whole_assets(config):
        if asset.count("/") == 2 and (rows := _exported(config, store, asset)) is not None:
            fingerprint = planner.whole(asset)
            noted += ledger.note_builds([RestoredBuild(asset, "", fingerprint, rows, {}, now())])
    return noted


def _tables(store: Store) -> Iterator[RestoredBuild]:
    """Builds of tables that are written as a whole."""
    own = [name for name in store.tables.names() if not store.tables.is_partitioned(name)]
    for table in sorted({*UNPARTITIONED, *own}):
        if store.tables.exists(table):
            footer = read_footer(store.tables.path(table))
            if "fingerprint" in footer.facts:
                info = footer.facts.get("info", {})
                print_ = footer.facts["fingerprint"]
                yield RestoredBuild(table, "", print_, footer.rows, info, now())


def _set(store: Store, name: str) -> Iterator[RestoredBuild]:
    """The build of labels or of a dataset."""
    version = store.sets.current(name)
    place = store.sets.path(name, version)
    try:
        facts = orjson.loads((place / "info.json").read_bytes())["info"]
        rows = read_footer(place / "images.parquet").rows
    except (OSError, orjson.JSONDecodeError, KeyError):
        return
    # The version of labels is what they were made from.
    made = facts.get("fingerprint", version if name == "labels" else None)
    if made is not None:
        yield RestoredBuild(name, "", made, rows, {"version": version}, now())


def _is_index_current(store: Store) -> bool:
    """Whether the index of words was made of the descriptions and the library that are there."""
    index = shared_index(store)
    if not index.exists() or store.ledger.build("library") is None:
        return False
    try:
        with closing(open_for_reading(index.fetch())) as connection:
            found = connection.execute("SELECT kind, batch, fingerprint FROM batches").fetchall()
            (pictures,) = connection.execute("SELECT count(*) FROM pictures").fetchone()
    except (StorageError, sqlite3.Error):
        return False
    made: dict[str, dict[str, str]] = {}
    for kind, batch, fingerprint in found:
        made.setdefault(kind, {})[batch] = fingerprint
    known = [
        words_by_batch(store),
        store.ledger.fingerprints("document_chunks"),
    ]
    library = store.tables.read("library", columns=["superseded_by", "deleted_at"])
    return pictures == live_rows(library).num_rows and all(m in known for m in made.values())


def _exported(config: LibraryConfig, store: Store, asset: str) -> int | None:
    """How many pictures an export shows, where it is one of the dataset's current version with today's options."""
    _, name, kind = asset.split("/")
    version = store.sets.current(f"dataset/{name}")
    if kind == "card":
        page = store.exports.read(name, kind, "index.html")
        return 1 if page is not None and version is not None and version.encode() in page else None
    facts = _facts(store.exports.read(name, kind, "export.json"))
    dataset = next(d for d in config.datasets if d.name == name)
    if not is_as_configured(facts, version, dataset, kind):
        return None
    rows: int = facts["counts"]["images"]
    return rows


def _facts(text: bytes | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found
