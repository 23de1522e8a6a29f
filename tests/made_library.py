"""A library whose tables are made, not computed: for tests of what becomes of batches."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from aion_dagster import identity, schemas
from aion_dagster.compacting import Compacting, Limits
from aion_dagster.config import LibraryConfig
from aion_dagster.curation.library import DELETED_FILE, FILE_VERSION, build_library
from aion_dagster.planning import Planner, configured_backend, partitioned_assets
from aion_dagster.storage import BatchRecord, Store
from aion_dagster.values import FileRef

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Limits(100, 10**9, timedelta(0))
NAMES = [f"{name}.jpg" for name in "abcdef"]


class World:
    """Files of two sources, and a store that takes them in as they change; tables are made, not computed."""

    def __init__(self, place: Path | str, ledger_url: str | None = None) -> None:
        self.store = Store.open(place, ledger_url=ledger_url)
        self.config = LibraryConfig(store=str(place), datasets=())
        self.waiting: dict[tuple[str, str], FileRef] = {}
        self.content: dict[FileRef, int] = {}
        self.versions: dict[tuple[str, str], list[FileRef]] = {}

    def write(self, source: str, name: str, content: int) -> None:
        """A file is new, or changes, or is touched."""
        versions = self.versions.setdefault((source, name), [])
        number = len(versions)
        ref = FileRef(source, f"file:///{source}/{name}", name, str(number), 1, MOMENT)
        versions.append(ref)
        self.content[ref] = content
        self.waiting[source, name] = ref

    def come_back(self, source: str, name: str) -> None:
        """The first version of a file is back."""
        known = [r for r in self.versions.get((source, name), ()) if self._is_known(r)]
        if known:
            self.waiting.pop((source, name), None)
            self.store.ledger.mark_current(known[:1])

    def delete(self, source: str, name: str) -> None:
        """A file goes."""
        self.waiting.pop((source, name), None)
        self.store.ledger.mark_deleted(source, [f"file:///{source}/{name}"])

    def take_in(self, *, made: bool = True) -> None:
        """What waits becomes a batch of each source, with its tables."""
        for source in ("pics", "scans"):
            files = [ref for (s, _), ref in sorted(self.waiting.items()) if s == source]
            if files:
                self._batch(source, files, made)
        self.waiting.clear()

    def _batch(self, source: str, files: list[FileRef], made: bool) -> None:
        key = identity.batch_key(source, files)
        self.store.manifests.write(key, files)
        record = BatchRecord(key, source, identity.manifest_digest(files), len(files), len(files))
        self.store.ledger.record_batch(record, files)
        if not made:
            return
        self.store.ledger.mark_started(key)
        planner = Planner(self.config, self.store, configured_backend(self.config))
        prints = planner.expected(key)
        for table in partitioned_assets(self.config):
            rows = self._rows(table, files)
            self.store.tables.write(table, rows, batch=key)
            self.store.ledger.record_build(table, key, prints[table], rows.num_rows, {})
        contents = {self._sha(ref) for ref in files if self.content[ref]}
        self.store.ledger.record_results("work", "1", key, contents)

    def _rows(self, table: str, files: list[FileRef]) -> pa.Table:
        schema = schemas.TABLES[table]
        found: list[dict[str, Any]] = []
        if table == "images":
            found = [self._image(ref) for ref in files]
        elif table == "label_losses":
            found = [
                {"kind": "unmatched", "subject": ref.name, "detail": ref.version} for ref in files
            ]
        elif table == "annotations":
            found = [
                {"annotation_id": f"{ref.name}-{i}", "image_id": self._id(ref)}
                for ref in files
                for i in (1, 2)
            ]
        elif "image_id" in schema.names and table != "label_matches":
            ids = dict.fromkeys(self._id(ref) for ref in files if self.content[ref])
            found = [{"image_id": image} for image in ids]
        return pa.Table.from_pylist(found, schema)

    def _image(self, ref: FileRef) -> dict[str, Any]:
        row = {"source": ref.source, "uri": ref.uri, "name": ref.name, "version": ref.version}
        row |= {"size_bytes": ref.size_bytes, "modified_at": ref.modified_at}
        if not self.content[ref]:
            return {**row, "status": "unreadable"}
        return {**row, "status": "ok", "image_id": self._id(ref), "sha256": self._sha(ref)}

    def _sha(self, ref: FileRef) -> str:
        return hashlib.sha256(str(self.content[ref]).encode()).hexdigest()

    def _id(self, ref: FileRef) -> str:
        return identity.image_id(self._sha(ref))

    def _is_known(self, ref: FileRef) -> bool:
        return ref.version in self.store.ledger.known_versions(ref.source, [ref.uri]).get(
            ref.uri, ()
        )

    def compact(self, limits: Limits = EVERYTHING) -> int:
        """Merge what may be merged; how many batches that were."""
        return compact(self.config, self.store, limits)


def compact(config: LibraryConfig, store: Store, limits: Limits = EVERYTHING) -> int:
    compacting = Compacting(config, store)
    groups = compacting.groups(limits)
    compacting.merge(groups, lambda _batch: None)
    return sum(map(len, groups))


def seen(config: LibraryConfig, store: Store) -> dict[str, Any]:
    """What readers make of the store, but for the names of batches."""
    planner = Planner(config, store, configured_backend(config))
    images = store.tables.dataset("images")
    usable = pa.array(sorted(planner.usable_batches()), pa.string())
    rows = images.to_table(filter=ds.field("batch").isin(usable))
    current = [
        {"source": v.source, "uri": v.uri, "version": v.version}
        for v in store.ledger.current_versions()
    ]
    deleted = [d._asdict() for d in store.ledger.deletions()]
    library = build_library(
        rows,
        {b.key: b.seq for b in store.ledger.batches()},
        pa.Table.from_pylist(current, FILE_VERSION),
        pa.Table.from_pylist(deleted, DELETED_FILE),
    ).table.to_pylist()
    for row in library:
        row.pop("batch")
        row["locations"] = [{k: v for k, v in p.items() if k != "batch"} for p in row["locations"]]
    results = store.ledger.find_results("work", "1", [r["sha256"] for r in library])
    written = set(store.tables.batches("descriptions"))
    assert set(results.values()) <= written
    return {
        "library": library,
        "current": sorted(map(str, current)),
        "deleted": sorted(map(str, deleted)),
        "results": sorted(results),
        "stale": {b for b in planner.plan().batches if b not in written},
        **{t: _contents(store, t) for t in partitioned_assets(config)},
    }


def _contents(store: Store, table: str) -> list[str]:
    rows = store.tables.read(table).drop_columns("batch").to_pylist()
    found = [str(row) for row in rows]
    is_per_content = "image_id" in schemas.TABLES[table].names and table not in (
        "images",
        "annotations",
        "label_matches",
    )
    return sorted(set(found)) if is_per_content else sorted(found)
