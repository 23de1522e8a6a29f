"""Erase a picture or document from a store's tables, manifests, sets, exports and index."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import hidden_sibling, storage_errors
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.ledger_erasure import Reprint
from aion_dagster.storage.parquet import parquet_file, read_footer
from aion_dagster.storage.places import Place
from aion_dagster.storage.shared_file import SharedFile
from aion_dagster.storage.store import Store

_MADE_ANEW: Final = {
    "library": ("image_id", "superseded_by"),
    "near_duplicates": ("image_id", "group_id"),
}
"""Tables that are deleted rather than shortened, as they follow from others → columns that name pictures."""

_FINGERPRINT: Final = "fingerprint"
"""The fact in a table's file that says what it was made from."""

_LOSSES: Final = "label_losses"
_DATASETS: Final = "dataset"
_LABELS: Final = "labels"


@dataclass(frozen=True)
class Found:
    """The places of a store that tell of a target.

    Attributes:
        tables: table and batch (empty for tables that are written as a whole).
        manifests: batches.
        sets: set and version.
        exports: dataset and name of the export.
    """

    tables: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    manifests: frozenset[str] = field(default_factory=frozenset)
    sets: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    exports: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.tables or self.manifests or self.sets or self.exports)

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: sorted(places) for name, places in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """The reverse of `to_json`."""
        return cls(
            manifests=frozenset(data["manifests"]),
            **{k: frozenset(map(tuple, data[k])) for k in ("tables", "sets", "exports")},
        )


def find(store: Store, target: Target) -> Found:
    """Look through the whole store, own tables of a team included; reads columns, writes nothing."""
    sets = frozenset(_sets(store, target))
    return Found(
        tables=frozenset(_tables(store, target)),
        manifests=frozenset(_manifests(store, target)),
        sets=sets,
        exports=frozenset(_exports(store, {name for name, _ in sets})),
    )


def erase(store: Store, target: Target, found: Found, prints: Sequence[Reprint] = ()) -> None:
    """Erase a target from the places where it was found; a second time changes nothing.

    Of datasets the current version is written without it, as the next one takes its splits from it, older ones are
    removed; exports, library, near-duplicates and index are removed, and made anew by the next run. Where a bucket
    keeps versions, those of all these places go, too.

    Args:
        store: where.
        target: what.
        found: as `find` gave it.
        prints: builds that are as good as before, and what their files are to say that they were made from.

    Raises:
        StorageError: something cannot be read or written; call it again with the same `found` when it can.
    """
    touched: list[Place] = []
    renamed = {(p.asset, p.batch): p for p in prints if p.old != p.new}
    for table, batch in sorted(found.tables | renamed.keys()):
        reprint = renamed.get((table, batch))
        touched.append(_erase_from_table(store, target, table, batch or None, reprint))
    for batch in sorted(found.manifests):
        path = store.manifests.path(batch)
        if path.is_file():
            files = store.manifests.read(batch)
            left = [f for f in files if (f.source, f.uri, f.version) not in target.files]
            if len(left) < len(files):
                store.manifests.rewrite(batch, left)
        touched.append(path)
    for name, version in sorted(found.sets):
        touched.append(_erase_from_set(store, target, name, version))
    for dataset, name in sorted(found.exports):
        touched.append(remove_folder(store.exports.root / dataset / name))
    touched.append(_remove_index(store.shared_file("index", "words.sqlite")))
    for place in touched:
        if isinstance(place, BucketPath):
            place.purge_versions()


def table_names(store: Store) -> list[str]:
    """Every table that a store has files of, a team's own included; sorted."""
    root = store.tables.root
    if not root.is_dir():
        return []
    with storage_errors("list", root):
        names = [p.name for p in root.iterdir() if p.name[0] != "." and not p.is_file()]
    return sorted(name.replace(".", "/") for name in names)


def _tables(store: Store, target: Target) -> Iterator[tuple[str, str]]:
    for table in table_names(store):
        if table in _MADE_ANEW:
            if store.tables.exists(table):
                columns = list(_MADE_ANEW[table])
                rows = store.tables.read(table, columns=columns)
                if any(_holds(rows[column], target) for column in columns):
                    yield table, ""
        elif store.tables.exists(table):
            yield from ((table, batch) for batch in _batches_about(store, target, table))


def _batches_about(store: Store, target: Target, table: str) -> list[str]:
    """Batches whose file of a table may be about the target; an empty one where the table is written as a whole."""
    data = store.tables.dataset(table)
    if not store.tables.is_partitioned(table):
        return [""] if pc.any(target.rows_about(data.to_table())).as_py() else []
    if table == _LOSSES:
        rows = data.to_table()
        return sorted(set(rows.filter(target.rows_about(rows))["batch"].to_pylist()))
    test = target.filter(data.schema)
    if test is None:
        return []
    columns = [c for c in data.schema.names if c in ("source", "version", "batch")]
    columns += [c for c in ("image_id", "document_id", "sha256", "uri") if c in data.schema.names]
    rows = data.to_table(columns=columns, filter=test)
    return sorted(set(rows.filter(target.rows_about(rows))["batch"].to_pylist()))


def _holds(column: pa.ChunkedArray, target: Target) -> bool:
    found = pc.any(pc.is_in(column, pa.array(sorted(target.ids), pa.string())))
    return bool(found.as_py())


def _manifests(store: Store, target: Target) -> Iterator[str]:
    recorded = {batch.key for batch in store.ledger.batches()}
    candidates = store.ledger.batches_of(target.files)
    # Those that were never recorded, or whose batch the ledger has lost.
    for batch in sorted(candidates | (set(store.manifests.batches()) - recorded)):
        if not store.manifests.path(batch).is_file():
            continue
        files = store.manifests.read(batch)
        if any((f.source, f.uri, f.version) in target.files for f in files):
            yield batch


def _sets(store: Store, target: Target) -> Iterator[tuple[str, str]]:
    for name in store.sets.names():
        for version in store.sets.versions(name):
            if name == _LABELS:
                tables, _ = store.sets.read(name, version)
                current = version == store.sets.current(name)
                if target.without_labels(tables, is_current=current) is not None:
                    yield name, version
            elif any(_table_tells(p, target) for p in _parquet(store.sets.path(name, version))):
                yield name, version


def _table_tells(place: Place, target: Target) -> bool:
    """Whether a table of a set is about the target, or names it; reads the columns that could."""
    wanted = ("image_id", "document_id", "sha256", "uri", "group_id", "subject", "detail")
    with parquet_file(place) as file:
        columns = [c for c in file.schema_arrow.names if c in wanted]
        return bool(columns) and target.without(file.read(columns=columns)) is not None


def _parquet(folder: Place) -> list[Place]:
    return [place for place in _below(folder) if place.suffix == ".parquet"]


def _below(folder: Place) -> list[Place]:
    """What lies right in a folder, sorted."""
    found: list[Place] = [*folder.iterdir()]
    return sorted(found, key=lambda place: place.name)


def _exports(store: Store, affected: set[str]) -> Iterator[tuple[str, str]]:
    """Exports of datasets that hold the target in some version, or of a version that is not there to be asked."""
    root = store.exports.root
    if not root.is_dir():
        return
    for folder in _below(root):
        dataset = folder.name
        if dataset[0] == "." or not folder.is_dir():
            continue
        versions = set(store.sets.versions(f"{_DATASETS}/{dataset}"))
        for export in _below(folder):
            if export.name[0] == ".":
                continue
            build = store.ledger.build(f"{_DATASETS}/{dataset}/{export.name}")
            made_of = None if build is None else build.info.get("version")
            if f"{_DATASETS}/{dataset}" in affected or made_of not in versions:
                yield dataset, export.name


def _erase_from_table(
    store: Store, target: Target, table: str, batch: str | None, reprint: Reprint | None
) -> Place:
    path = store.tables.path(table, batch)
    if table in _MADE_ANEW:
        store.tables.delete(table)
    elif path.is_file():
        facts = dict(read_footer(path).facts)
        is_renamed = reprint is not None and facts.get(_FINGERPRINT) == reprint.old
        if reprint is not None and is_renamed:
            facts[_FINGERPRINT] = reprint.new
        rows = store.tables.read(table, batch=batch)
        left = target.without(rows)
        if left is not None or is_renamed:
            with store.tables.writer(table, batch=batch, schema=rows.schema) as writer:
                writer.note(**facts)
                writer.append(rows if left is None else left)
    return path


def _erase_from_set(store: Store, target: Target, name: str, version: str) -> Place:
    place = store.sets.path(name, version)
    if not place.is_dir():
        return place
    if version != store.sets.current(name):
        return remove_folder(place)
    tables, info = store.sets.read(name, version)
    if name == _LABELS:
        left = target.without_labels(tables, is_current=True)
    else:
        shortened = {table: target.without(rows) for table, rows in tables.items()}
        changed = {t: rows for t, rows in shortened.items() if rows is not None}
        left = {**tables, **changed} if changed else None
    if left is not None:
        store.sets.write(name, version, left, info, renew=True)
    return place


def remove_folder(place: Place) -> Place:
    """Remove a folder of a set or export at once: whoever looks finds all of it or nothing. Where it was."""
    if isinstance(place, BucketPath):
        for name in ("current.json", "info.json"):
            (place / name).unlink(missing_ok=True)
        place.remove_tree()
    elif place.is_dir():
        with storage_errors("remove", place):
            aside = hidden_sibling(place, "staging")
            place.rename(aside)
            shutil.rmtree(aside)
    return place


def _remove_index(index: SharedFile) -> Place:
    """The words of erased texts stay in an index that goes on; the next run makes a new one."""
    with storage_errors("remove", index.path):
        _unlink([index.path, index.path.with_name(f"{index.path.name}.version")])
    if isinstance(index.place, BucketPath):
        index.place.unlink(missing_ok=True)
    return index.place


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
