"""The decode pass over one batch of files: its results in the store's tables, nothing computed twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.backends.file_columns import file_columns
from aion_dagster.backends.forgotten import forgotten_picture
from aion_dagster.compute.contact_sheet import contact_sheet
from aion_dagster.compute.picture_pass import PassSettings, PictureInput, Reused, run_pass
from aion_dagster.compute.picture_workers import Job, PictureWorkers
from aion_dagster.identity import image_id
from aion_dagster.storage.staged import StagedTable
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef

CONTENT_TABLES = ("variants", "color_analyses", "visual_features")
CONTENT_FACTS = (
    "image_id",
    "sha256",
    "size_bytes",
    "media_type",
    "format",
    "width",
    "height",
    "orientation",
    "frame_count",
    "captured_at",
    "gps",
    "blur_hash",
    "phash",
    "status",
    "error",
)
"""Columns of `images` that follow from the bytes alone."""
SHEET_PICTURES = 24
SHEET_BYTES = 15_000
"""A JPEG of this size is 20 KB as base64 in Dagster's event log."""


@dataclass
class PictureTables:
    """What the pass made of a batch; `variants` is on disk already and waits to be committed.

    `contact_sheet` is a small JPEG of the first pictures; None where there are none, or no variants were made.
    """

    images: pa.Table
    color_analyses: pa.Table
    visual_features: pa.Table
    variants: StagedTable | None
    reused: int
    contact_sheet: bytes | None = None

    def discard(self) -> None:
        """Remove what was staged and is not committed."""
        if self.variants is not None:
            self.variants.discard()

    def content_hashes(self) -> list[str]:
        """SHA-256 of each distinct content that was decoded."""
        ok = self.images.filter(pc.equal(self.images["status"], schemas.STATUS_OK))
        return sorted(set(ok["sha256"].to_pylist()))


def compute_pictures(
    batch: str,
    files: Sequence[FileRef],
    read: Callable[[FileRef], bytes],
    store: Store,
    settings: PassSettings,
    advance: Callable[[int], None],
    before_asking: Callable[[Collection[str]], None] = lambda _hashes: None,
    workers: PictureWorkers | None = None,
) -> PictureTables:
    """Run the pass over `files`; contents that an earlier batch has computed are copied from its tables.

    Rows of `images` are in the order of `files`; the other tables have one row per distinct readable content.

    Args:
        batch: its key.
        files: what it consists of.
        read: gives the bytes of a file.
        store: where earlier batches are, and variants are staged.
        settings: what to compute, within which bounds.
        advance: told after every chunk how many files it had; what it raises ends the pass.
        before_asking: told the SHA-256 of contents before earlier batches are searched for them; may wait.
        workers: processes to measure in; None for threads of this one.
    """
    gathering = _Gathering(batch, store, settings, before_asking, workers)
    staged = store.tables.stage("variants", batch=batch) if "variants" in settings.parts else None
    inputs = (PictureInput(ref, partial(read, ref)) for ref in files)
    try:
        for chunk in run_pass(inputs, settings, known=gathering.known, workers=workers):
            gathering.add(chunk.images, chunk.color_analyses, chunk.visual_features)
            variants = [chunk.variants, *gathering.add_reused(chunk.reused)]
            for table in variants:
                gathering.keep_thumbnails(table)
                if staged is not None and table.num_rows:
                    staged.append(table)
            advance(chunk.done)
        if staged is not None:
            staged.finish()
        return gathering.result(files, staged)
    except BaseException:
        gathering.give_up()
        if staged is not None:
            staged.discard()
        raise


class _Gathering:
    """Tables of a batch as they grow, chunk by chunk."""

    def __init__(
        self,
        batch: str,
        store: Store,
        settings: PassSettings,
        before_asking: Callable[[Collection[str]], None],
        workers: PictureWorkers | None,
    ) -> None:
        self._batch, self._store, self._settings = batch, store, settings
        self._before_asking, self._workers = before_asking, workers
        self._images: list[pa.Table] = []
        self._colors: list[pa.Table] = []
        self._features: list[pa.Table] = []
        self._where: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._copied: set[str] = set()
        self._reused = 0
        self._thumbnails: list[bytes] = []
        self._sheet: bytes | None = None
        self._sheet_to_come: Job[bytes | None] | None = None

    @property
    def _needed(self) -> list[str]:
        """The tables that an earlier batch must have to be copied from."""
        return ["images", *(t for t in CONTENT_TABLES if t in self._settings.parts)]

    def known(self, hashes: Sequence[str]) -> Collection[str]:
        """Which contents have all their results in an earlier batch that is still there, or were erased."""
        self._before_asking(hashes)
        found = self._store.ledger.find_results(
            self._settings.operation(), self._settings.parameters(), list(hashes)
        )
        usable = {
            sha: batch
            for sha, batch in found.items()
            if batch != self._batch
            and all(self._store.tables.exists(t, batch) for t in self._needed)
        }
        self._where.update(usable)
        forgotten = self._store.ledger.forgotten_contents(hashes)
        self._forgotten |= forgotten
        return usable.keys() | forgotten

    def add(self, images: pa.Table, colors: pa.Table, features: pa.Table) -> None:
        self._images.append(images)
        self._colors.append(colors)
        self._features.append(features)

    def add_reused(self, reused: Sequence[Reused]) -> list[pa.Table]:
        """Copy the rows of contents that are known; gives their variants, a table per earlier batch."""
        erased = [r for r in reused if r.sha256 in self._forgotten]
        reused = [r for r in reused if r.sha256 not in self._forgotten]
        if erased:
            bare = [forgotten_picture(r.ref, r.size_bytes) for r in erased]
            self._images.append(pa.Table.from_pylist(bare, schema=schemas.IMAGES))
        if not reused:
            return []
        self._reused += len(reused)
        wanted: dict[str, set[str]] = defaultdict(set)
        for r in reused:
            wanted[self._where[r.sha256]].add(image_id(r.sha256))
        facts = self._store.tables.take_by_id("images", wanted, list(CONTENT_FACTS))
        by_id = {row["image_id"]: row for row in facts.to_pylist()}
        rows = [_located(by_id[image_id(r.sha256)], r.ref) for r in reused]
        self._images.append(pa.Table.from_pylist(rows, schema=schemas.IMAGES))
        fresh = {b: ids - self._copied for b, ids in wanted.items() if ids - self._copied}
        for ids in fresh.values():
            self._copied |= ids
        self._colors.append(
            self._store.tables.take_by_id("color_analyses", fresh, schemas.COLOR_ANALYSES.names)
        )
        self._features.append(
            self._store.tables.take_by_id("visual_features", fresh, schemas.VISUAL_FEATURES.names)
        )
        if "variants" not in self._settings.parts:
            return []
        names = schemas.VARIANT_ROWS.names
        return [self._store.tables.take_by_id("variants", {b: i}, names) for b, i in fresh.items()]

    def keep_thumbnails(self, variants: pa.Table) -> None:
        """Keep the first few small variants for the contact sheet, and make it when they are complete.

        Then and not at the end, when nothing else is left to be computed beside it; and not here where there are
        processes, which would wait for what comes after.
        """
        missing = SHEET_PICTURES - len(self._thumbnails)
        if missing > 0 and variants.num_rows:
            self._thumbnails += variants["small_256"][:missing].to_pylist()
            if len(self._thumbnails) < SHEET_PICTURES:
                return
            if self._workers is None:
                self._sheet = _sheet(self._thumbnails)
            else:
                self._sheet_to_come = self._workers.submit(
                    _sheets, [self._thumbnails], lambda _: None
                )

    def _contact_sheet(self) -> bytes | None:
        if self._sheet_to_come is not None:
            (self._sheet,) = self._sheet_to_come.result()
        return self._sheet or _sheet(self._thumbnails)

    def give_up(self) -> None:
        """Nobody will ask for the result."""
        if self._sheet_to_come is not None:
            self._sheet_to_come.cancel()

    def result(self, files: Sequence[FileRef], staged: StagedTable | None) -> PictureTables:
        order = {(f.source, f.uri): i for i, f in enumerate(files)}
        images = pa.concat_tables([schemas.IMAGES.empty_table(), *self._images])
        places = [
            order[key]
            for key in zip(images["source"].to_pylist(), images["uri"].to_pylist(), strict=True)
        ]
        images = images.take(pc.sort_indices(pa.array(places, pa.int64())))
        return PictureTables(
            images=images,
            color_analyses=pa.concat_tables([schemas.COLOR_ANALYSES.empty_table(), *self._colors]),
            visual_features=pa.concat_tables(
                [schemas.VISUAL_FEATURES.empty_table(), *self._features]
            ),
            variants=staged,
            reused=self._reused,
            contact_sheet=self._contact_sheet(),
        )


def _sheet(thumbnails: Sequence[bytes]) -> bytes | None:
    return contact_sheet(thumbnails, max_bytes=SHEET_BYTES) if thumbnails else None


def _sheets(pictures: list[list[bytes]]) -> list[bytes | None]:
    return [_sheet(thumbnails) for thumbnails in pictures]


def _located(facts: dict[str, object], ref: FileRef) -> dict[str, object]:
    """An images row for one more file of a known content."""
    return facts | file_columns(ref)
