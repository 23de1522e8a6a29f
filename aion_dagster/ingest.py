"""From a source into the store: what is new becomes batches, each file version once; what is gone gets a tombstone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aion_dagster import identity
from aion_dagster.source_pass import SourcePass, unknown_files
from aion_dagster.sources import ScanPage, Source
from aion_dagster.storage import BatchRecord, OverlapError, Store
from aion_dagster.values import FileRef, Loss

BATCH_FILES: Final = 500
BATCH_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one call of `ingest` did.

    Attributes:
        batches: keys of the batches that this call recorded, in order.
        files: files in them.
        scanned: files that the source listed, known ones included.
        cursor: where to go on; None where the pass over the source is complete.
        complete: the pass is complete and everything in it recorded.
        problems: what the source could not list.
        deleted: files that were found to be gone.
        unsettled: new files that changed too lately to be taken in.
    """

    batches: tuple[str, ...]
    files: int
    scanned: int
    cursor: str | None
    complete: bool
    problems: tuple[Loss, ...]
    deleted: int = 0
    unsettled: int = 0


def ingest(
    source: Source,
    store: Store,
    *,
    batch_files: int = BATCH_FILES,
    batch_bytes: int = BATCH_BYTES,
    cursor: str | None = None,
    deadline: float | None = None,
    max_batches: int | None = None,
    settle_seconds: float = 0.0,
    may_be_empty: bool = False,
) -> Ingested:
    """Record what is new in a source as batches: manifest first, then the ledger, in one transaction per batch.

    It may be killed at any moment and repeated, and several processes may do it at once: every file version comes
    into exactly one batch, and the same new files in the same order give the same batches. Files are deleted in the
    ledger at the end of a pass that listed everything, or where the source says that they are gone.

    Args:
        source: where files come from.
        store: where manifests and ledger are.
        batch_files: files in one batch, at most.
        batch_bytes: bytes in one batch, at most; a larger file gets a batch of its own.
        cursor: where an earlier call ended; None to begin a pass.
        deadline: a moment of `time.monotonic()` after which no further page is asked for, and no batch recorded but the
            first.
        max_batches: stop after so many new batches; the next call goes on with the returned cursor.
        settle_seconds: leave new files for later that changed within so many seconds.
        may_be_empty: a source that lists nothing at all is empty; otherwise it is taken for broken, and its known
            files are not deleted.

    Raises:
        SourceError: the source cannot be listed.
        StorageError: the store cannot be written.
    """
    scan = SourcePass.opened(source, store.ledger, cursor)
    done = _Recorded()
    # New files that do not fill a batch yet wait for the next page.
    waiting: list[_Waiting] = []
    while True:
        here = scan.cursor
        page = scan.next_page(deadline)
        new = scan.new_files(page, settle_seconds=settle_seconds)
        waiting = _without_older(waiting, page) + [_Waiting(file, here) for file in new]
        last = scan.is_over or _is_past(deadline)
        is_full = False
        while not is_full and (group := _next_group(waiting, batch_files, batch_bytes, flush=last)):
            waiting = _record(store, group, waiting, done)
            is_full = max_batches is not None and len(done.batches) >= max_batches
            is_full |= _is_past(deadline) and bool(done.batches)
        if last or is_full:
            break
    complete = scan.close([item.file for item in waiting], may_be_empty=may_be_empty)
    go_on = waiting[0].cursor if waiting else scan.cursor
    return Ingested(
        batches=tuple(done.batches),
        files=done.files,
        scanned=scan.scanned,
        cursor=None if complete else go_on,
        complete=complete,
        problems=tuple(scan.problems),
        deleted=scan.deleted,
        unsettled=scan.unsettled,
    )


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


class _Waiting(NamedTuple):
    """A file that is to be recorded, and the cursor of the page that listed it."""

    file: FileRef
    cursor: str


@dataclass(slots=True)
class _Recorded:
    batches: list[str] = field(default_factory=list)
    files: int = 0


def _without_older(waiting: list[_Waiting], page: ScanPage) -> list[_Waiting]:
    """Files that still wait, but for those that a later page names again, or says to be gone."""
    newer = {*(file.uri for file in page.files), *page.removed}
    return [item for item in waiting if item.file.uri not in newer]


def _next_group(
    waiting: Sequence[_Waiting], files: int, size: int, *, flush: bool
) -> list[FileRef]:
    """The first files that fill a batch; empty where they do not, unless `flush`."""
    group: list[FileRef] = []
    total = 0
    for file, _ in waiting:
        if group and (len(group) >= files or total + file.size_bytes > size):
            return group
        group.append(file)
        total += file.size_bytes
    return group if flush or len(group) >= files or total >= size else []


def _record(
    store: Store, group: Sequence[FileRef], waiting: list[_Waiting], done: _Recorded
) -> list[_Waiting]:
    """Record one batch; returns what is still waiting."""
    key = identity.batch_key(group[0].source, group)
    batch = BatchRecord(
        key=key,
        source=group[0].source,
        manifest_digest=identity.manifest_digest(group),
        file_count=len(group),
        size_bytes=sum(file.size_bytes for file in group),
    )
    store.manifests.write(key, group)
    try:
        if store.ledger.record_batch(batch, group):
            done.batches.append(key)
            done.files += len(group)
    except OverlapError:
        # Another process grouped some of these files otherwise. This batch can never be recorded any more.
        store.manifests.delete(key)
        files = [item.file for item in waiting]
        known = store.ledger.known_files(batch.source, [file.uri for file in files])
        left = set(unknown_files(store.ledger, files, known))
        if len(left) == len(waiting):
            raise
        return [item for item in waiting if item.file in left]
    return waiting[len(group) :]
