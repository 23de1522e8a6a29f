"""From a source into the store: what is new becomes batches, each file version once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aion_dagster import identity
from aion_dagster.sources import Source
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
        cursor: where to go on; None where the scan is complete.
        complete: the whole source has been listed and recorded.
        problems: what the source could not list.
    """

    batches: tuple[str, ...]
    files: int
    scanned: int
    cursor: str | None
    complete: bool
    problems: tuple[Loss, ...]


def ingest(
    source: Source,
    store: Store,
    *,
    batch_files: int = BATCH_FILES,
    batch_bytes: int = BATCH_BYTES,
    cursor: str | None = None,
    deadline: float | None = None,
    max_batches: int | None = None,
) -> Ingested:
    """Record what is new in a source as batches: manifest first, then the ledger, in one transaction per batch.

    It may be killed at any moment and repeated, and several processes may do it at once: every file version comes
    into exactly one batch, and the same new files in the same order give the same batches.

    Args:
        source: where files come from.
        store: where manifests and ledger are.
        batch_files: files in one batch, at most.
        batch_bytes: bytes in one batch, at most; a larger file gets a batch of its own.
        cursor: where an earlier call ended; None to begin.
        deadline: a moment of `time.monotonic()` after which no further page is asked for.
        max_batches: stop after so many new batches; the next call goes on with the returned cursor.

    Raises:
        SourceError: the source cannot be listed.
        StorageError: the store cannot be written.
    """
    done = _Progress()
    # New files that do not fill a batch yet wait for the next page, each with the cursor of its own page.
    waiting: list[tuple[FileRef, str | None]] = []
    while True:
        page = source.scan(cursor, deadline)
        done.scanned += len(page.files)
        done.problems.extend(page.problems)
        queued = {(file.uri, file.version) for file, _ in waiting}
        new = [f for f in _unknown(store, page.files) if (f.uri, f.version) not in queued]
        waiting.extend((file, cursor) for file in new)
        cursor = page.cursor
        last = cursor is None or (deadline is not None and time.monotonic() >= deadline)
        is_full = False
        while not is_full and (group := _next_group(waiting, batch_files, batch_bytes, flush=last)):
            waiting = _record(store, group, waiting, done)
            is_full = max_batches is not None and len(done.batches) >= max_batches
        if is_full and waiting:
            return done.result(waiting[0][1], complete=False)
        if last or is_full:
            return done.result(cursor, complete=cursor is None)


@dataclass(slots=True)
class _Progress:
    batches: list[str] = field(default_factory=list)
    files: int = 0
    scanned: int = 0
    problems: list[Loss] = field(default_factory=list)

    def result(self, cursor: str | None, *, complete: bool) -> Ingested:
        return Ingested(
            batches=tuple(self.batches),
            files=self.files,
            scanned=self.scanned,
            cursor=cursor,
            complete=complete,
            problems=tuple(self.problems),
        )


def _unknown(store: Store, files: Sequence[FileRef]) -> list[FileRef]:
    """The file versions that no batch holds; known ones that are not the latest become current again."""
    known: dict[tuple[str, str], set[str]] = {}
    for source in {file.source for file in files}:
        uris = [file.uri for file in files if file.source == source]
        for uri, versions in store.ledger.known_versions(source, uris).items():
            known[source, uri] = versions
    new, returned = {}, []
    for file in files:
        versions = known.get((file.source, file.uri), set())
        if file.version not in versions:
            new[file.uri, file.version] = file
        elif len(versions) > 1:
            returned.append(file)
    if returned:
        store.ledger.mark_current(returned)
    return list(new.values())


def _next_group(
    waiting: Sequence[tuple[FileRef, str | None]], files: int, size: int, *, flush: bool
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
    store: Store,
    group: Sequence[FileRef],
    waiting: list[tuple[FileRef, str | None]],
    done: _Progress,
) -> list[tuple[FileRef, str | None]]:
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
        left = set(_unknown(store, [file for file, _ in waiting]))
        if len(left) == len(waiting):
            raise
        return [item for item in waiting if item[0] in left]
    return waiting[len(group) :]
