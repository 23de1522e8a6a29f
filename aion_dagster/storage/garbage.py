"""What nothing in a store refers to any more: found by looking, removed place by place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aion_dagster import schemas
from aion_dagster.identity import BATCH_KEY_PATTERN
from aion_dagster.storage import process
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.bucket_upkeep import abort_upload, entries, open_uploads, sizes
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.erasing import remove_folder
from aion_dagster.storage.exports import POINTER
from aion_dagster.storage.garbage_references import (
    exported_versions,
    known_batches,
    referred_batches,
    wanted_contents,
)
from aion_dagster.storage.places import Place
from aion_dagster.storage.store import FOLDERS, FORGOTTEN, LEDGER_FILE, Store

GRACE: Final = timedelta(hours=24)
"""What was written within this time is left alone: somebody may be about to refer to it."""

_LEFTOVER: Final = re.compile(r"\..+\.(\d+-\d+)\.[0-9a-f]{8}\.(?:tmp|staging)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_CURRENT: Final = "current.json"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nothing refers to.

    Attributes:
        kind: leftover | ledger | table | original | manifest | set version | export | upload.
        place: where it is.
        files: how many files it consists of.
        size_bytes: their size; of an upload in parts it is not known, and 0.
        written_at: when the newest of them was written.
        upload: the id of an upload in parts.
    """

    kind: str
    place: Place
    files: int
    size_bytes: int
    written_at: datetime
    upload: str = ""


def find_garbage(
    store: Store,
    *,
    grace: timedelta = GRACE,
    keep_versions: int | None = None,
    now: datetime | None = None,
) -> list[Garbage]:
    """Look through a store, under its exclusive lock where something is to be removed afterwards.

    Args:
        store: which.
        grace: leave alone what was written within this time.
        keep_versions: of each dataset and of the labels, how many versions to keep beside the current one and those
            that exports are made of, the newest first; None for all.
        now: the moment to count from.

    Returns:
        What can be removed:
        - files on their way into the store whose process is gone;
        - ledgers that rebuilding has replaced, and kept beside the one in use;
        - tables of batches that have no manifest, no place in the ledger, no row in the library, and no picture in a
          version of a dataset; a team's own tables go with such a batch, and are left alone otherwise;
        - kept originals of pictures that are neither in the library nor in a version of a dataset;
        - manifests of batches that were never recorded, because all of their files came into others;
        - versions of sets beyond `keep_versions`, and half-written ones;
        - in a bucket, exports that no pointer names, and uploads in parts that nobody finished.
    """
    limit = (now or datetime.now(UTC)) - grace
    found = [
        *_leftovers(store),
        *_ledgers(store),
        *_tables(store),
        *_originals(store),
        *_manifests(store),
        *_sets(store, keep_versions),
        *_exports(store),
        *_uploads(store),
    ]
    return [each for each in found if each.written_at <= limit]


def remove_garbage(store: Store, garbage: Iterable[Garbage]) -> None:
    """Remove what `find_garbage` found; killed at any moment, the next call finds the rest.

    Raises:
        StorageError: a place cannot be removed.
    """
    batches = set()
    for each in garbage:
        if each.kind == "table":
            batches.add(each.place.name.partition("=")[2])
        _remove(each)
    store.ledger.forget_batches(batches)


def _leftovers(store: Store) -> Iterator[Garbage]:
    """Temporary files and folders of processes of this machine that are gone."""
    for folder, folders, files in os.walk(store.local):
        below = Path(folder).relative_to(store.local).parts
        if not below:  # the instance of Dagster, models, and other libraries see to themselves
            folders[:] = [f for f in folders if f in _OWN or _LEFTOVER.fullmatch(f)]
        for name in (*folders, *files):
            match = _LEFTOVER.fullmatch(name)
            if match is not None and not process.is_alive(match[1]):
                found = _measured("leftover", Path(folder) / name)
                if found is not None:
                    yield found
        folders[:] = [f for f in folders if _LEFTOVER.fullmatch(f) is None]


def _ledgers(store: Store) -> Iterator[Garbage]:
    """Replaced ledgers, and what a rebuild that was killed has left; never the one in use and its journal."""
    for kind in ("replaced-*", "rebuilt*", "read*"):
        for file in sorted(store.local.glob(f"{LEDGER_FILE}.{kind}")):
            found = _measured("ledger", file)
            if found is not None:
                yield found


_OWN: Final = frozenset({*FOLDERS, "scratch", FORGOTTEN, "media"})


def _tables(store: Store) -> Iterator[Garbage]:
    names = store.tables.names()
    ours = [t for t in names if t in schemas.TABLES]
    written = {table: _batch_folders(store, table) for table in names}
    unsure = {batch for table in ours for batch in written[table]} - known_batches(store)
    lost = unsure - referred_batches(store) if unsure else set()
    for table in names:
        for batch in sorted(written[table] & lost):
            found = _measured("table", store.tables.path(table, batch).parent)
            if found is not None:
                yield found


def _batch_folders(store: Store, table: str) -> set[str]:
    """Batches that a table has a folder for, whatever is in it."""
    folder = store.tables.root / table.replace("/", ".")
    names = (p.name.partition("=") for p in folder.iterdir())
    return {key for name, _, key in names if name == "batch" and BATCH_KEY_PATTERN.fullmatch(key)}


def _originals(store: Store) -> Iterator[Garbage]:
    """Bytes of pictures that were kept for exports of versions to come."""
    root = store.root / "media"
    kept: dict[str, tuple[Place, int, datetime]]
    if isinstance(root, BucketPath):
        kept = {p.name: (p, size, moment) for p, size, moment in entries(root)}
    else:
        kept = {p.name: (p, *next(_files(p))) for p in root.glob("[0-9a-f][0-9a-f]/*")}
    for sha256 in sorted(kept.keys() - wanted_contents(store)) if kept else ():
        place, size, moment = kept[sha256]
        if _SHA256.fullmatch(sha256):
            yield Garbage("original", place, 1, size, moment)


def _manifests(store: Store) -> Iterator[Garbage]:
    for batch in store.overtaken_manifests():
        found = _measured("manifest", store.manifests.path(batch))
        if found is not None:
            yield found


def _sets(store: Store, keep_versions: int | None) -> Iterator[Garbage]:
    for name in store.sets.names():
        folder = store.sets.path(name)
        current = store.sets.current(name)
        complete = store.sets.versions(name)
        for place in _below(folder):
            is_version = place.name in complete or place.name == _CURRENT
            if place.name[0] == "." or is_version or _is_set(store, name, place.name):
                continue
            # Without its facts, which are written last: it was begun in a bucket, and never finished.
            found = _measured("set version", place)
            if found is not None:
                yield found
        if keep_versions is None:
            continue
        needed = {current, *exported_versions(store, name)}
        measured = [
            found
            for version in complete
            if (found := _measured("set version", folder / version)) is not None
        ]
        measured.sort(key=lambda each: (each.written_at, each.place.name), reverse=True)
        others = [each for each in measured if each.place.name not in needed]
        yield from others[keep_versions:]


def _is_set(store: Store, name: str, part: str) -> bool:
    """Whether a folder below a set is (the beginning of) another set."""
    return any(other.startswith(f"{name}/{part}") for other in store.sets.names())


def _exports(store: Store) -> Iterator[Garbage]:
    """Folders of exports in a bucket that no pointer names; on disk an export is where it is, or not at all."""
    root = store.exports.root
    if not isinstance(root, BucketPath):
        return
    for dataset in root.iterdir():
        for export in dataset.iterdir() if dataset.name[0] != "." else ():
            current = store.exports.place(dataset.name, export.name)
            for place in export.iterdir():
                if place.name == POINTER or (current is not None and place.name == current.name):
                    continue
                found = _measured("export", place)
                if found is not None:
                    yield found


def _uploads(store: Store) -> Iterator[Garbage]:
    if isinstance(store.root, BucketPath):
        for each in open_uploads(store.root):
            yield Garbage("upload", each.place, 1, 0, each.begun_at, each.id)


def _measured(kind: str, place: Place) -> Garbage | None:
    """A file or folder with its size and age; None where it is not there."""
    files = size = 0
    newest: datetime | None = None
    for length, moment in _files(place):
        files += 1
        size += length
        newest = moment if newest is None else max(newest, moment)
    if newest is None:
        return None
    return Garbage(kind, place, files, size, newest)


def _files(place: Place) -> Iterator[tuple[int, datetime]]:
    """Size and age of a file, or of all files below a folder; an empty folder counts as a file of no bytes."""
    if isinstance(place, BucketPath):
        yield from sizes(place)
        return
    with storage_errors("look at", place):
        paths = [Path(f, n) for f, _, names in os.walk(place) for n in names] or [place]
        for path in paths:
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            yield (
                0 if path.is_dir() else found.st_size,
                datetime.fromtimestamp(found.st_mtime, UTC),
            )


def _remove(garbage: Garbage) -> None:
    place = garbage.place
    if isinstance(place, BucketPath) and garbage.upload:
        abort_upload(place, garbage.upload)
    elif isinstance(place, BucketPath):
        remove_folder(place)
        place.unlink(missing_ok=True)
    elif place.is_dir() and garbage.kind != "leftover":
        remove_folder(place)
    else:
        with storage_errors("remove", place):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)


def _below(folder: Place) -> list[Place]:
    found: list[Place] = [*folder.iterdir()]
    return sorted(found, key=lambda place: place.name)
