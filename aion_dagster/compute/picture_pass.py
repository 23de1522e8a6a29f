"""The picture pass: files in, rows of images, variants, colors and features out, one decode per picture."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import pyarrow as pa

from aion_dagster import identity
from aion_dagster.compute.measure import Measured, measure_all
from aion_dagster.compute.pass_settings import ENGINE, PARTS, PassSettings
from aion_dagster.compute.pass_tables import (
    ImageRow,
    colors_table,
    features_table,
    image_row,
    images_table,
    variants_table,
)
from aion_dagster.compute.picture_workers import Job, PictureWorkers
from aion_dagster.compute.sniff import UndecodableError
from aion_dagster.errors import FileTooLargeError, SourceError
from aion_dagster.values import FileRef

__all__ = [
    "ENGINE",
    "PARTS",
    "PassChunk",
    "PassSettings",
    "PictureInput",
    "Reused",
    "run_pass",
]

_CHUNK_BYTES: Final = 128 * 2**20
_GROUP: Final = 8
"""Pictures of one task: fewer leave the processor's caches cold, more leave a thread idle at the end."""
_READERS: Final = 8
"""Reads that wait at the same time: for files from a network the waiting is what costs."""
_CRASHED: Final = (
    "the process that decoded it ended; the file is damaged, or there was not enough memory"
)


@dataclass(frozen=True)
class PictureInput:
    """A file and how to read it; `read` returns all its bytes or raises a `SourceError` (or an `OSError`)."""

    ref: FileRef
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Reused:
    """A file whose content has results already: the caller fills in all its rows, the one of images included."""

    ref: FileRef
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class PassChunk:
    """Rows of some consecutive inputs, in their order; `done` is how many inputs they stand for."""

    images: pa.Table
    variants: pa.Table
    color_analyses: pa.Table
    visual_features: pa.Table
    reused: tuple[Reused, ...]
    done: int


def run_pass(
    inputs: Iterable[PictureInput],
    settings: PassSettings,
    *,
    known: Callable[[Sequence[str]], Collection[str]] = lambda _shas: (),
    workers: PictureWorkers | None = None,
) -> Iterator[PassChunk]:
    """Compute everything about `inputs`, chunk by chunk.

    Every file gives one row in `images` or one entry in `reused`; every distinct ok content of the call gives one row in
    each of the other tables that `settings.parts` names. A file that cannot be read, is no picture, is damaged or too large
    is a row with that status and a reason. While one chunk is computed the next is read, and computed in
    its turn while the caller has the first one's tables; two chunks together hold at most `in_flight` files, and fewer
    where files are large.

    Args:
        inputs: consumed lazily.
        settings: what to compute, within which bounds.
        known: asked once per chunk with the SHA-256 (hex) of contents that are new to this call; what it returns is not
            decoded.
        workers: processes to measure in; None for `settings.threads` threads.
    """
    threads = settings.threads or os.cpu_count() or 1
    finished: dict[str, ImageRow] = {}
    with ExitStack() as stack:
        readers = _pool(stack, max(threads, _READERS))
        computers = _Computers(
            settings, workers or _pool(stack, threads), workers.processes if workers else threads
        )
        chunks = _chunks(inputs, settings)
        reading = _begin_reading(next(chunks, []), settings, readers)
        running: _Running | None = None
        stack.callback(lambda: None if running is None else running.cancel())
        while reading:
            reads = [future.result() for future in reading]
            before, running = running, _begin_computing(reads, known, running, finished, computers)
            ready = before.results(finished) if before is not None else None
            del reads, before  # nothing but `running` holds a chunk's bytes
            reading = _begin_reading(next(chunks, []), settings, readers)
            if ready is not None:
                yield _tables(*ready)
        if running is not None:
            yield _tables(*running.results(finished))


def _pool(stack: ExitStack, workers: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="picture-pass")
    # A consumer that stops early waits for what is running, not for what is queued.
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read, or the row that says why it was not."""

    ref: FileRef
    data: bytes
    sha256: str
    refused: ImageRow | None = None


def _begin_reading(
    chunk: list[PictureInput], settings: PassSettings, readers: ThreadPoolExecutor
) -> list[Future[_Read]]:
    return [readers.submit(_read, item, settings.max_bytes) for item in chunk]


def _chunks(inputs: Iterable[PictureInput], settings: PassSettings) -> Iterator[list[PictureInput]]:
    """Consecutive inputs: half of what may be in flight, or fewer when they are large."""
    most = max(1, settings.in_flight // 2)
    chunk: list[PictureInput] = []
    held = 0
    for item in inputs:
        size = min(item.ref.size_bytes, settings.max_bytes)
        if chunk and (len(chunk) == most or held + size > _CHUNK_BYTES):
            yield chunk
            chunk, held = [], 0
        chunk.append(item)
        held += size
    if chunk:
        yield chunk


def _read(item: PictureInput, max_bytes: int) -> _Read:
    ref = item.ref
    if ref.size_bytes > max_bytes:
        return _Read(ref, b"", "", _too_many_bytes(ref, ref.size_bytes, max_bytes))
    try:
        data = item.read()
    except FileTooLargeError as error:
        return _Read(ref, b"", "", ImageRow(ref, ref.size_bytes, "too_large", error=str(error)))
    except (SourceError, OSError) as error:
        reason = str(error) or type(error).__name__
        return _Read(ref, b"", "", ImageRow(ref, ref.size_bytes, "unreadable", error=reason))
    sha256 = hashlib.sha256(data).hexdigest()
    if len(data) > max_bytes:
        refused = _too_many_bytes(ref, len(data), max_bytes)
        refused = replace(refused, sha256=sha256, image_id=identity.image_id(sha256))
        return _Read(ref, b"", sha256, refused)
    return _Read(ref, data, sha256)


def _too_many_bytes(ref: FileRef, size: int, max_bytes: int) -> ImageRow:
    reason = f"the file has {size} bytes, more than max_bytes = {max_bytes}"
    return ImageRow(ref, size, "too_large", error=reason)


_Result = tuple[ImageRow, Measured | None]


class _Computers:
    """Where groups of pictures are measured: threads of this process, or other processes."""

    def __init__(
        self, settings: PassSettings, place: ThreadPoolExecutor | PictureWorkers, count: int
    ) -> None:
        """`count` groups are measured at the same time."""
        self._measure = partial(_measure, settings=settings)
        self._place, self._count = place, count

    def begin(self, reads: list[_Read]) -> list[Job[_Result]]:
        """Jobs whose results, one after the other, are those of `reads`."""
        place = self._place
        size = min(_GROUP, -(-len(reads) // self._count) or 1)
        groups = [reads[start : start + size] for start in range(0, len(reads), size)]
        if isinstance(place, PictureWorkers):
            return [place.submit(self._measure, group, _lost) for group in groups]
        return [place.submit(self._measure, group) for group in groups]


def _lost(read: _Read) -> _Result:
    """What stands for a picture that ended the process which decoded it."""
    row = ImageRow(read.ref, len(read.data), "unreadable", read.sha256, error=_CRASHED)
    return replace(row, image_id=identity.image_id(read.sha256)), None


@dataclass(frozen=True, slots=True)
class _Running:
    """A chunk that is being computed: its files, and the results to come of the contents that are new in it."""

    chunk: list[_Read]
    new: tuple[str, ...]
    jobs: list[Job[_Result]]

    def cancel(self) -> None:
        """Do not begin what has not begun."""
        for job in self.jobs:
            job.cancel()

    def results(
        self, finished: dict[str, ImageRow]
    ) -> tuple[list[ImageRow], tuple[Reused, ...], list[tuple[str, Measured]]]:
        """Wait, add the new rows to `finished` (by SHA-256), and give rows, reused files, and what was measured."""
        results = [result for job in self.jobs for result in job.result()]
        finished.update(zip(self.new, (row for row, _ in results), strict=True))
        rows: list[ImageRow] = []
        reused: list[Reused] = []
        for read in self.chunk:
            if read.refused is not None:
                rows.append(read.refused)
            elif read.sha256 in finished:
                rows.append(replace(finished[read.sha256], ref=read.ref))
            else:
                reused.append(Reused(read.ref, read.sha256, len(read.data)))
        measured = [(row.image_id or "", m) for row, m in results if m is not None]
        return rows, tuple(reused), measured


def _begin_computing(
    chunk: list[_Read],
    known: Callable[[Sequence[str]], Collection[str]],
    before: _Running | None,
    finished: dict[str, ImageRow],
    computers: _Computers,
) -> _Running:
    """Queue what is new in `chunk`: neither finished, nor running in the chunk `before`, nor known elsewhere."""
    underway = frozenset(before.new) if before is not None else frozenset()
    fresh: dict[str, _Read] = {}
    for read in chunk:
        if read.refused is None and read.sha256 not in finished and read.sha256 not in underway:
            fresh.setdefault(read.sha256, read)
    elsewhere = frozenset(known(tuple(fresh))) if fresh else frozenset()
    new = {sha: read for sha, read in fresh.items() if sha not in elsewhere}
    return _Running(chunk, tuple(new), computers.begin(list(new.values())))


def _measure(group: list[_Read], settings: PassSettings) -> list[_Result]:
    measured = measure_all(
        [read.data for read in group],
        parts=settings.parts,
        n_colors=settings.n_colors,
        jpeg_quality=settings.jpeg_quality,
        max_pixels=settings.max_pixels,
    )
    return [
        (image_row(read.ref, len(read.data), read.sha256, found), _if_ok(found))
        for read, found in zip(group, measured, strict=True)
    ]


def _if_ok(found: Measured | UndecodableError) -> Measured | None:
    return None if isinstance(found, UndecodableError) else found


def _tables(
    rows: list[ImageRow],
    reused: tuple[Reused, ...],
    measured: list[tuple[str, Measured]],
) -> PassChunk:
    variants = [(i, m.variants) for i, m in measured if m.variants is not None]
    colors = [(i, m.colors) for i, m in measured if m.colors is not None]
    features = [(i, m.features) for i, m in measured if m.features is not None]
    return PassChunk(
        images=images_table(rows),
        variants=variants_table(variants),
        color_analyses=colors_table(colors),
        visual_features=features_table(features),
        reused=reused,
        done=len(rows) + len(reused),
    )
