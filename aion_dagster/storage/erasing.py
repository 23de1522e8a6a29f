"""Erase a picture or document from a store's tables, manifests, sets, exports, reports and index."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.bucket_upkeep import purge_versions
from aion_dagster.storage.durable import hidden_sibling, storage_errors
from aion_dagster.storage.erasure_found import LABELS, MADE_ANEW, Found
from aion_dagster.storage.erasure_target import Target
from aion_dagster.storage.ledger_erasure import Reprint
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.parquet import read_footer
from aion_dagster.storage.places import Place
from aion_dagster.storage.shared_file import SharedFile
from aion_dagster.storage.store import Store

ERASED: Final = "erased"
"""The fact beside a version of a dataset that says how many pictures were erased from it: its name stands for all."""

_FINGERPRINT: Final = "fingerprint"
"""The fact in a table's file that says what it was made from."""


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
    touched = [
        *_from_tables(store, target, found, prints),
        *_from_manifests(store, target, found),
        *_from_sets(store, target, found),
        *_from_what_follows(store, found),
    ]
    for place in touched:
        if isinstance(place, BucketPath):
            purge_versions(place)


def _from_tables(
    store: Store, target: Target, found: Found, prints: Sequence[Reprint]
) -> Iterator[Place]:
    renamed = {(p.asset, p.batch): p for p in prints if p.old != p.new}
    for table, batch in sorted(found.tables | renamed.keys()):
        reprint = renamed.get((table, batch))
        yield _erase_from_table(store, target, table, batch or None, reprint)


def _from_manifests(store: Store, target: Target, found: Found) -> Iterator[Place]:
    for batch in sorted(found.manifests):
        path = store.manifests.path(batch)
        if path.is_file():
            files = store.manifests.read(batch)
            left = [f for f in files if (f.source, f.uri, f.version) not in target.files]
            if len(left) < len(files):
                store.manifests.rewrite(batch, left)
        yield path


def _from_sets(store: Store, target: Target, found: Found) -> Iterator[Place]:
    for name, version in sorted(found.sets):
        yield _erase_from_set(store, target, name, version)
    for name, version in sorted(found.derived):
        if version == store.sets.current(name):
            pointer = store.sets.path(name) / "current.json"
            pointer.unlink(missing_ok=True)
            yield pointer
        yield remove_folder(store.sets.path(name, version))


def _from_what_follows(store: Store, found: Found) -> Iterator[Place]:
    """Kept originals, reports, exports and index are removed."""
    for sha256 in sorted(found.originals):
        place = OriginalStore(store.root / "media").path(sha256)
        place.unlink(missing_ok=True)
        yield place
    for report in sorted(found.reports):
        place = store.root.joinpath("reports", *report.split("/"))
        place.unlink(missing_ok=True)
        yield place
    for dataset, name in sorted(found.exports):
        yield remove_folder(store.exports.root / dataset / name)
    for dataset in sorted({dataset for dataset, _ in found.exports}):
        _remove_if_empty(store.exports.root / dataset)
    yield _remove_index(store.shared_file("index", "words.sqlite"))


def _erase_from_table(
    store: Store, target: Target, table: str, batch: str | None, reprint: Reprint | None
) -> Place:
    path = store.tables.path(table, batch)
    if table in MADE_ANEW:
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
    if name == LABELS:
        left = target.without_labels(tables, is_current=True)
    else:
        shortened = {table: target.without(rows) for table, rows in tables.items()}
        changed = {t: rows for t, rows in shortened.items() if rows is not None}
        left = {**tables, **changed} if changed else None
        gone = sum(
            tables[t].num_rows - rows.num_rows for t, rows in changed.items() if t == "images"
        )
        info = {**info, ERASED: info.get(ERASED, 0) + gone}
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


def _remove_if_empty(folder: Place) -> None:
    if isinstance(folder, Path):  # in a bucket there are no empty ones
        with suppress(OSError):  # it is gone, or holds exports of other formats
            folder.rmdir()


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
