"""Small batches become larger ones: which may be merged, and what follows from it; nothing is computed anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final

import pyarrow.compute as pc

from aion_dagster.config import LibraryConfig
from aion_dagster.identity import batch_key, digest, manifest_digest
from aion_dagster.planning import (
    UNFINISHED,
    Plan,
    Planner,
    configured_backend,
    partitioned_assets,
    whole_assets,
)
from aion_dagster.storage.compaction import Compaction, finish, rename_in_library, rename_in_set
from aion_dagster.storage.ledger_records import BatchRecord
from aion_dagster.storage.ledger_retired import MergedBuild
from aion_dagster.storage.merging import Merged, merge_table
from aion_dagster.storage.parquet import read_footer
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

_REMEMBERED: Final = 1_000
"""Batches whose files are remembered while groups are made."""

Group = tuple[BatchRecord, ...]
"""Batches of one source that follow each other and are to become one."""


@dataclass(frozen=True)
class Limits:
    """How large a merged batch may be, and how old what is merged has to be."""

    files: int
    bytes: int
    age: timedelta


@dataclass(frozen=True)
class Compacted:
    """What was done: old batch → new one; assets over all batches that are as up to date as before."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    whole: tuple[str, ...] = ()


class Compacting:
    """The merging of one library's batches, by somebody who works on its store alone."""

    def __init__(
        self, config: LibraryConfig, store: Store, *, at_work: Collection[str] = ()
    ) -> None:
        """`at_work`: batches to leave alone because runs are about them."""
        self._config, self._store, self._at_work = config, store, at_work
        self._planner = Planner(config, store, configured_backend(config))
        # Neighbours are asked about again and again.
        self._uris = lru_cache(maxsize=_REMEMBERED)(self._read_uris)

    def groups(self, limits: Limits) -> list[Group]:
        """What may be merged: neighbours of one source that are small, old, complete and made as they would be now."""
        found: list[Group] = []
        sources: dict[str, _Gathering] = {}
        for record in self._planner.records.values():
            gathering = sources.setdefault(record.source, _Gathering(limits, self._may_join))
            found += gathering.take(record if self._is_ready(record, limits) else None)
        for gathering in sources.values():
            found += gathering.take(None)
        return found

    def merge(self, groups: Sequence[Group], advance: Callable[[str], None]) -> Compacted:
        """Merge them; `advance` is told each new batch. May be killed at any moment.

        Raises:
            StorageError: a table or manifest cannot be read, or the store cannot be written.
        """
        if not groups:
            return Compacted()
        stale = set(self._plan.whole)
        whole = [a for a in whole_assets(self._config) if a not in stale]
        made = [(self._record(group), group) for group in groups]
        Compaction({new.key: tuple(b.key for b in old) for new, old in made}).write(
            self._store.root
        )
        for new, old in made:
            self._merge(new, old)
            advance(new.key)
        renamed = {b.key: new.key for new, old in made for b in old}
        _Renaming(self._config, self._store, renamed).everything(whole)
        finish(self._store, renamed)
        return Compacted(renamed, tuple(whole))

    @cached_property
    def _plan(self) -> Plan:
        return self._planner.plan()

    @cached_property
    def _tables(self) -> dict[str, frozenset[str]]:
        """Table with a file per batch → its batches."""
        tables = self._store.tables
        return {t: frozenset(tables.batches(t)) for t in tables.names() if tables.is_partitioned(t)}

    @cached_property
    def _unfinished(self) -> set[str]:
        """Batches of which rows may be tried again."""
        return {batch for _, batch in self._store.ledger.builds_noting(UNFINISHED)}

    @cached_property
    def _usable(self) -> set[str]:
        return self._planner.usable_batches()

    def _is_ready(self, record: BatchRecord, limits: Limits) -> bool:
        key = record.key
        age = datetime.now(UTC) - (record.created_at or datetime.now(UTC))
        return (
            record.file_count * 2 <= limits.files
            and record.size_bytes * 2 <= limits.bytes
            and age >= limits.age
            and record.started_at is not None
            and key in self._usable
            and key not in self._plan.batches
            and key not in self._unfinished
            and key not in self._at_work
        )

    def _may_join(self, group: Sequence[BatchRecord], record: BatchRecord) -> bool:
        """Whether a batch has the tables that the others have, and no file of theirs whose fate is open."""
        if self._signature(group[-1].key) != self._signature(record.key):
            return False
        uris = self._uris(record.key)
        again = {uri for b in group for uri in self._uris(b.key) & uris}
        if not again:
            return True
        current = self._store.ledger.current_batches(record.source, again)
        own = {*(b.key for b in group), record.key}
        return all(batch is None or batch in self._usable | own for batch in current.values())

    def _signature(self, batch: str) -> frozenset[str]:
        return frozenset(t for t, batches in self._tables.items() if batch in batches)

    def _files(self, batch: str) -> list[FileRef]:
        return self._store.manifests.read(batch)

    def _read_uris(self, batch: str) -> frozenset[str]:
        return frozenset(file.uri for file in self._files(batch))

    def _record(self, group: Group) -> BatchRecord:
        """The batch that others become."""
        files = [file for batch in group for file in self._files(batch.key)]
        return BatchRecord(
            key=batch_key(group[0].source, files),
            source=group[0].source,
            manifest_digest=manifest_digest(files),
            file_count=len(files),
            size_bytes=sum(file.size_bytes for file in files),
        )

    def _merge(self, new: BatchRecord, group: Group) -> None:
        """Write manifest and tables of a new batch, then have the ledger know it instead of the old ones."""
        old = [batch.key for batch in group]
        files = [file for key in old for file in self._files(key)]
        self._store.manifests.write(new.key, files, merged=old)
        prints = self._planner.batch_with(old[0], new.manifest_digest)
        builds: list[MergedBuild] = []
        for table in sorted(self._signature(old[0])):
            builds += self._built(table, new.key, old, prints)
        self._store.ledger.merge_batches(
            new,
            old,
            builds=builds,
            files={(file.source, file.uri) for file in files},
            contents=set(self._contents(old)),
        )

    def _built(
        self, table: str, new: str, old: Sequence[str], prints: Mapping[str, str]
    ) -> Iterator[MergedBuild]:
        """Write a table of the new batch; what it is made from, where that is known of the old ones."""
        is_asset = table in partitioned_assets(self._config)
        known = [self._store.ledger.build(table, batch) for batch in old]
        each = [build.fingerprint for build in known if build is not None]
        made: str | None = None
        if is_asset:
            made = prints[table]
        elif len(each) == len(old):
            made = each[0] if len(set(each)) == 1 else digest(each)
        facts = {} if made is None else {"fingerprint": made, "info": {}}
        merged: Merged = merge_table(self._store.tables, table, old, new, self._prefer, facts)
        if made is not None:
            yield MergedBuild(table, made, merged.rows)

    def _prefer(self, table: str, contents: Sequence[str]) -> Mapping[str, str]:
        """Of a picture that several batches have, the rows of the batch that the library names are used."""
        if table == "document_chunks" or not self._store.tables.exists("library"):
            return {}
        rows = self._store.tables.read(
            "library", columns=["image_id", "batch"], image_ids=list(contents)
        )
        return dict(zip(rows["image_id"].to_pylist(), rows["batch"].to_pylist(), strict=True))

    def _contents(self, batches: Sequence[str]) -> Iterator[str]:
        """SHA-256 of all that these batches hold."""
        for table in ("images", "documents"):
            for batch in batches:
                if batch in self._tables.get(table, ()):
                    column = self._store.tables.read(table, batch=batch, columns=["sha256"])
                    yield from pc.drop_null(column["sha256"]).to_pylist()


class _Gathering:
    """Batches of a source in their order, put together as they fit."""

    def __init__(
        self, limits: Limits, may_join: Callable[[Sequence[BatchRecord], BatchRecord], bool]
    ) -> None:
        self._limits, self._may_join = limits, may_join
        self._group: list[BatchRecord] = []

    def take(self, record: BatchRecord | None) -> Iterator[Group]:
        """Add the next batch, or None for one that is not to be merged; gives a group when it is complete."""
        if record is None or not self._fits(record):
            if len(self._group) > 1:
                yield tuple(self._group)
            self._group = []
        if record is not None:
            self._group.append(record)

    def _fits(self, record: BatchRecord) -> bool:
        if not self._group:
            return True
        together = [*self._group, record]
        return (
            sum(b.file_count for b in together) <= self._limits.files
            and sum(b.size_bytes for b in together) <= self._limits.bytes
            and self._may_join(self._group, record)
        )


class _Renaming:
    """Assets over all batches after batches were merged: they name other batches, and are as up to date as before."""

    def __init__(self, config: LibraryConfig, store: Store, renamed: Mapping[str, str]) -> None:
        self._config, self._store, self._renamed = config, store, renamed
        self._planner = Planner(config, store, configured_backend(config))

    def everything(self, current: Collection[str]) -> None:
        """Have files name the new batches; those of `current` assets stay up to date."""
        if self._store.tables.exists("library") and "library" not in current:
            rename_in_library(self._store, self._renamed, {})
        for asset in current:
            kind = asset.split("/")
            if len(kind) == 3:
                continue  # an export or card names no batches, and follows from the dataset's version
            fingerprint, build = self._planner.whole(asset), self._store.ledger.build(asset)
            info = {} if build is None else dict(build.info)
            rows = self._rewrite(asset, {"fingerprint": fingerprint, "info": info})
            self._store.ledger.record_build(asset, "", fingerprint, rows, info)

    def _rewrite(self, asset: str, facts: Mapping[str, object]) -> int:
        store = self._store
        if asset == "library":
            return rename_in_library(store, self._renamed, facts)
        if asset == "search_index":
            from aion_dagster.assets.library import update_search_index

            library = store.tables.read("library")
            return update_search_index(store, library, documents=bool(self._config.documents)).rows
        if asset.startswith("dataset/"):
            return rename_in_set(store, asset, self._renamed, {"fingerprint": facts["fingerprint"]})
        rows = store.tables.read(asset)
        with store.tables.writer(asset) as writer:
            writer.note(**facts)
            writer.append(rows)
        return read_footer(store.tables.path(asset)).rows
