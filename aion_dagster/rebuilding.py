"""A lost ledger made anew from manifests and tables: known files, batches, builds, results, answers of paid calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from aion_dagster.config import LibraryConfig
from aion_dagster.erasure import restore_marks
from aion_dagster.errors import StorageError
from aion_dagster.identity import manifest_digest
from aion_dagster.planning import Planner, configured_backend, partitioned_assets
from aion_dagster.rebuilt_calls import answered_calls
from aion_dagster.rebuilt_results import recorded_results
from aion_dagster.rebuilt_wholes import library_facts, restore_wholes
from aion_dagster.storage import BatchRecord, Ledger, OverlapError
from aion_dagster.storage.compaction import Compaction
from aion_dagster.storage.ledger_database import is_postgres, now
from aion_dagster.storage.ledger_restored import (
    Exchange,
    RestoredBuild,
    RestoredLedger,
    exchange_file,
    exchange_schema,
)
from aion_dagster.storage.manifests import ManifestFacts
from aion_dagster.storage.parquet import Footer, read_footer
from aion_dagster.storage.store import LEDGER_FILE, Store
from aion_dagster.storage.tables import TableStore
from aion_dagster.wording import plural

_AT_ONCE: Final = 16
_LIKE: Final = {"variants": "images", "document_chunks": "documents"}
"""Tables whose file is finished before it is known what to note in it → the one that is made with it."""


@dataclass(frozen=True)
class Rebuilt:
    """What was restored.

    Attributes:
        batches: how many batches.
        files: versions of files in them.
        unfinished: batches that lack tables; the next run makes those.
        deleted: files that are gone.
        builds: tables that are known to be made, and from what.
        results: contents whose results can be found again.
        calls: answers of paid calls that stand in tables and not in what was left of the old ledger.
        carried: rows of journal and budgets that could still be read.
        passed_over: manifests whose files are in other batches; they were never recorded.
        kept: where the old ledger is.
    """

    batches: int
    files: int
    unfinished: int
    deleted: int
    builds: int
    results: int
    calls: int
    carried: int
    passed_over: tuple[str, ...]
    kept: Path | None = None


def ledger_problem(store: Store) -> str | None:
    """Why the ledger does not fit the store; None where it does."""
    file = store.local / LEDGER_FILE
    if store.ledger_url is None and not file.is_file():
        return f"{file} is missing"
    try:
        with _ledger(store) as ledger:
            if (damage := ledger.damage()) is not None:
                return damage
            known = {b.key for b in ledger.batches()}
            retired = ledger.retired().keys()
        there = set(store.manifests.batches())
    except StorageError as error:
        return str(error)
    if lost := known - there:
        return f"it knows {plural(len(lost), 'batch')} without manifest, such as {min(lost)}"
    made = set(store.tables.batches("images")) | set(store.tables.batches("documents"))
    if unknown := (there & made) - known - retired:
        return (
            f"it does not know {plural(len(unknown), 'batch')} with tables, such as {min(unknown)}"
        )
    return None


def rebuild_ledger(config: LibraryConfig, store: Store, *, dry_run: bool = False) -> Rebuilt:
    """Make the ledger anew and put it in the place of the old one, at once; with `dry_run`, only make it.

    To be called by somebody who works on the store alone.

    Raises:
        StorageError: a manifest or a table's file cannot be read, or the ledger cannot be written.
    """
    with _exchange(store) as exchange:
        done = _Rebuilding(config, store, exchange.ledger).everything(exchange.carried)
        if dry_run:
            return done
        store.close()
        return Rebuilt(**{**vars(done), "kept": exchange.put_in_place()})


def _ledger(store: Store) -> Ledger:
    """The ledger of a store, opened anew."""
    if store.ledger_url is None:
        return Ledger.at(store.local / LEDGER_FILE)
    return Ledger(store.ledger_url, library=store.library)


def _exchange(store: Store) -> AbstractContextManager[Exchange]:
    url = store.ledger_url
    if url is None:
        return exchange_file(store.local / LEDGER_FILE)
    if is_postgres(url):
        return exchange_schema(url, store.library)
    return exchange_file(Path(sa.make_url(url).database or ""))


class _Rebuilding:
    """One ledger that is made anew."""

    def __init__(self, config: LibraryConfig, store: Store, ledger: RestoredLedger) -> None:
        self._config, self._ledger = config, ledger
        # The same places, with this ledger instead of the one that is lost.
        self._store = Store(store.home, store.root, store.local, store.library, store.ledger_url)
        self._store.__dict__["ledger"] = ledger
        # All that is there, also of batches that were being merged.
        self._store.tables = TableStore(store.root / "tables")
        self._passed_over: list[str] = []

    def everything(self, carried: int) -> Rebuilt:
        """Fill the ledger."""
        facts = self._manifest_facts()
        self._batches(facts)
        restore_marks(self._store)
        deleted = self._currents()
        builds = self._ledger.note_builds(self._builds())
        unfinished = self._times(facts)
        results = 0
        for operation, parameters, batch, sha256s in recorded_results(
            self._config, self._store, self._planner
        ):
            self._ledger.record_results(operation, parameters, batch, sha256s)
            results += len(sha256s)
        calls = self._ledger.note_calls(answered_calls(self._config, self._store))
        builds += restore_wholes(self._config, self._store, self._ledger, self._planner)
        counts = self._ledger.counts()
        return Rebuilt(
            batches=counts.batches,
            files=counts.files,
            unfinished=unfinished,
            deleted=deleted,
            builds=builds,
            results=results,
            calls=calls,
            carried=carried,
            passed_over=tuple(sorted(self._passed_over)),
        )

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self._config, self._store, configured_backend(self._config))

    @cached_property
    def _tables(self) -> dict[str, set[str]]:
        """Table → the batches that it was written for."""
        return {t: set(self._store.tables.batches(t)) for t in self._store.tables.names()}

    def _manifest_facts(self) -> dict[str, ManifestFacts]:
        """Batch → what its manifest says, in the order in which they were written."""
        undone = self._undone()
        keys = [key for key in self._store.manifests.batches() if key not in undone]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(keys, pool.map(self._store.manifests.facts, keys), strict=True))
        return dict(sorted(found.items(), key=lambda item: (item[1].written_at, item[0])))

    def _undone(self) -> set[str]:
        """Batches that others were being merged into, whose tables are all there still."""
        merging = Compaction.read(self._store.root)
        made = self._tables.get("images", set()) | self._tables.get("documents", set())
        groups = {} if merging is None else merging.groups
        return {new for new, old in groups.items() if made.issuperset(old)}

    def _batches(self, facts: Mapping[str, ManifestFacts]) -> None:
        """Record what manifests name: first the batches that have tables, as others may never have been recorded."""
        retired = {old: new for new, each in facts.items() for old in each.merged}
        self._ledger.note_retired(retired, now())
        made = set().union(*(self._tables.get(t, set()) for t in ("images", "documents")))
        left = [key for key in facts if key not in retired]
        for key in sorted(left, key=lambda key: key not in made):
            files = self._store.manifests.read(key)
            record = BatchRecord(
                key,
                files[0].source if files else "",
                manifest_digest(files),
                len(files),
                sum(file.size_bytes for file in files),
            )
            try:
                self._ledger.record_batch(record, files)
            except OverlapError:
                self._passed_over.append(key)

    def _currents(self) -> int:
        """Which versions are current, and which files gone, as the library last knew; how many are gone."""
        known = library_facts(self._store)
        if known is None:
            return 0
        places = {(v.source, v.uri): v for v in self._ledger.current_versions()}
        back = []
        for ref in known.current:
            place = places.get((ref.source, ref.uri))
            if place is not None and place.version != ref.version and place.batch in known.batches:
                back.append(ref)
        self._ledger.mark_current(back)
        gone: dict[str, list[str]] = {}
        for source, uri in known.deleted:
            place = places.get((source, uri))
            if place is not None and place.batch in known.batches:
                gone.setdefault(source, []).append(uri)
        deleted = sum(self._ledger.mark_deleted(source, uris) for source, uris in gone.items())
        self._ledger.note_deleted(known.deleted)
        self._ledger.note_revision(known.revision)
        return deleted

    def _builds(self) -> Iterator[RestoredBuild]:
        """What the files of batches say that they were made from; where they say nothing, what they should be."""
        recorded = self._ledger.known_batches()
        for table, batches in self._tables.items():
            keys = sorted(batches & recorded)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                footers = list(pool.map(lambda key: self._footer(table, key), keys))  # noqa: B023 - used at once
            for key, footer in zip(keys, footers, strict=True):
                build = self._build(table, key, footer)
                if build is not None:
                    yield build

    def _footer(self, table: str, batch: str) -> Footer:
        footer = read_footer(self._store.tables.path(table, batch))
        if "fingerprint" not in footer.facts and table in _LIKE:
            sibling = self._store.tables.path(_LIKE[table], batch)
            if sibling.is_file():
                return Footer(footer.rows, read_footer(sibling).facts)
        return footer

    def _build(self, table: str, batch: str, footer: Footer) -> RestoredBuild | None:
        made = footer.facts.get("fingerprint", self._planner.batch(batch).get(table))
        if made is None:
            return None
        info = footer.facts.get("info", {})
        return RestoredBuild(table, batch, made, footer.rows, info, now())

    def _times(self, facts: Mapping[str, ManifestFacts]) -> int:
        """When batches were recorded, which are whole, and which are kept out; how many are not whole."""
        needed = [self._tables.get(a, set()) for a in partitioned_assets(self._config)]
        whole = set.intersection(*needed)
        rows: dict[str, int] = {}
        for table in ("images", "documents"):
            for key, build in self._ledger.builds(table).items():
                rows[key] = rows.get(key, 0) + build.rows
        records = self._ledger.batches()
        for record in records:
            written = facts[record.key].written_at
            self._ledger.note_times(record.key, written=written, started=record.key in rows)
            if record.key in rows and rows[record.key] != record.file_count:
                reason = f"{record.file_count} files, but {rows[record.key]} rows"
                self._ledger.mark_blocked(record.key, reason)
        return len({r.key for r in records} - whole)
