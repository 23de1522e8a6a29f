"""The places of a store that tell of a picture or document: looked for in all of it, written to nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.parquet import parquet_file
from aion_dagster.storage.places import Place
from aion_dagster.storage.store import Store

MADE_ANEW: Final = {
    "library": ("image_id", "superseded_by"),
    "near_duplicates": ("image_id", "group_id"),
    "near_duplicate_index": ("image_id",),
}
"""Tables that are deleted rather than shortened, as they follow from others → columns that name pictures.

They would be wrong without some rows: the index of near-duplicates names groups by the numbers of its rows.
"""

LABELS: Final = "labels"
_LOSSES: Final = "label_losses"
_DATASETS: Final = "dataset"
_PIPELINES: Final = "pipeline/"


@dataclass(frozen=True)
class Found:
    """The places of a store that tell of a target.

    Attributes:
        tables: table and batch (empty for tables that are written as a whole).
        manifests: batches.
        sets: set and version.
        exports: dataset and name of the export.
        derived: sets, and their versions, that were found out from it by pipelines; they go as a whole.
        originals: contents whose bytes are kept.
        reports: files below `reports` that name it, or tell of `derived`.
    """

    tables: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    manifests: frozenset[str] = field(default_factory=frozenset)
    sets: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    exports: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    derived: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    originals: frozenset[str] = field(default_factory=frozenset)
    reports: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(asdict(self).values())

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: sorted(places) for name, places in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """The reverse of `to_json`."""
        pairs = {
            k: frozenset(map(tuple, data[k])) for k in ("tables", "sets", "exports", "derived")
        }
        words = {k: frozenset(data[k]) for k in ("manifests", "originals", "reports")}
        return cls(**words, **pairs)  # type: ignore[arg-type]  # words or pairs, as the fields are


def find(store: Store, target: Target) -> Found:
    """Look through the whole store, own tables of a team included; reads columns, writes nothing."""
    sets = frozenset(_sets(store, target))
    derived = frozenset(_derived(store, target))
    return Found(
        tables=frozenset(_tables(store, target)),
        manifests=frozenset(_manifests(store, target)),
        sets=sets,
        exports=frozenset(_exports(store, {name for name, _ in sets})),
        derived=derived,
        originals=frozenset(filter(OriginalStore(store.root / "media").has, target.sha256s)),
        reports=frozenset(_reports(store, target, derived)),
    )


def _tables(store: Store, target: Target) -> Iterator[tuple[str, str]]:
    for table in store.tables.names():
        if table in MADE_ANEW:
            if store.tables.exists(table):
                columns = list(MADE_ANEW[table])
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
        if name.startswith(_PIPELINES):
            continue
        for version in store.sets.versions(name):
            if name == LABELS:
                tables, _ = store.sets.read(name, version)
                current = version == store.sets.current(name)
                if target.without_labels(tables, is_current=current) is not None:
                    yield name, version
            elif any(_table_tells(p, target) for p in _parquet(store.sets.path(name, version))):
                yield name, version


def _derived(store: Store, target: Target) -> Iterator[tuple[str, str]]:
    for name in store.sets.names():
        if not name.startswith(_PIPELINES):
            continue
        for version in store.sets.versions(name):
            tables, info = store.sets.read(name, version)
            rows = (row for table in tables.values() for row in table.to_pylist())
            if any(target.is_told_by(repr(each)) for each in (info, *rows)):
                yield name, version


def _reports(store: Store, target: Target, derived: Iterable[tuple[str, str]]) -> Iterator[str]:
    root = store.root / "reports"
    told = {f"{name}.md" for name, _ in derived}
    for place in _files_below(root):
        name = str(place).removeprefix(f"{root}/")
        if name in told or target.is_told_by(place.read_bytes().decode(errors="replace")):
            yield name


def _files_below(root: Place) -> list[Place]:
    if isinstance(root, BucketPath):
        return [*root.files()]
    return [p for p in sorted(root.rglob("*")) if p.is_file()]


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
