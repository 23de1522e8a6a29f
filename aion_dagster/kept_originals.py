"""Which originals a library keeps, and whether the pictures of a version can still be had."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from aion_dagster.backends.originals import OriginalFiles, Reader
from aion_dagster.curation.columns import places_in
from aion_dagster.errors import ExportError, SourceError
from aion_dagster.formats.pictures import PictureFile
from aion_dagster.storage.originals import OriginalStore
from aion_dagster.storage.store import Store
from aion_dagster.values import Dataset

_SHOWN = 20


class VersionPictures:
    """The pictures of a version: where they were, where the library has them now, or what was kept of them."""

    def __init__(self, store: Store, dataset: Dataset, reader: Reader) -> None:
        """Pictures of `dataset`; a version outlives moves of its files."""
        self._kept = OriginalStore(store.root / "media")
        self._files = OriginalFiles(located(store, dataset), reader)
        ids, hashes = (dataset.images[c].to_pylist() for c in ("image_id", "sha256"))
        self._hashes: Mapping[str, str] = dict(zip(ids, hashes, strict=True))

    def open(self, image_id: str) -> PictureFile:
        """Path and bytes of a picture.

        Raises:
            SourceError: they are gone, and were not kept.
        """
        try:
            return self._files.open(image_id)
        except SourceError:
            sha256 = self._hashes.get(image_id, "")
            if not sha256 or not self._kept.has(sha256):
                raise
            # Not by its path: an export may link files, and what is kept must never change.
            return PictureFile(path=None, data=partial(self._kept.read, sha256))

    def require(self, dataset: Dataset) -> None:
        """See to it that all pictures are there.

        Raises:
            ExportError: some are gone; the message names them.
        """
        gone = []
        for image_id, name in zip(*(dataset.images[c].to_pylist() for c in ("image_id", "file_name")), strict=True):  # fmt: skip
            try:
                self.open(image_id)
            except SourceError as error:
                gone.append(f"{name} ({error})")
        if gone:
            more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
            raise ExportError(
                f"version {dataset.version} of {dataset.name} cannot be exported: of {len(gone)} of its"
                f" {dataset.images.num_rows} pictures the bytes are gone: {', '.join(gone[:_SHOWN])}{more}."
                " Nothing was written. Bring the files back; 'keep_originals: referenced' keeps those of later versions"
            )


def located(store: Store, dataset: Dataset) -> pa.Table:
    """image_id and locations of a version's pictures: where the library has them now, and where the version had them."""
    own = dataset.images.select(["image_id", "locations"])
    if not store.tables.exists("library"):
        return own
    now = store.tables.read("library", columns=["image_id", "locations"])
    places = places_in(own["image_id"], now["image_id"])
    current = now["locations"].take(pa.array(places, mask=places < 0)).to_pylist()
    rows: list[list[dict[str, Any]]] = [
        [*(new or ()), *(p for p in old or () if p not in (new or ()))]
        for new, old in zip(current, own["locations"].to_pylist(), strict=True)
    ]
    return own.set_column(1, "locations", pa.array(rows, own.schema.field("locations").type))


def keep_originals(store: Store, pictures: pa.Table, reader: Reader) -> tuple[int, tuple[str, ...]]:
    """Keep the bytes of pictures (image_id, sha256, locations) that are not kept yet.

    Returns:
        How many were kept now, and the ids of those whose bytes cannot be had.
    """
    kept = OriginalStore(store.root / "media")
    files = OriginalFiles(pictures, reader)
    count = 0
    missing = []
    for image_id, sha256 in zip(pictures["image_id"].to_pylist(), pictures["sha256"].to_pylist(), strict=True):  # fmt: skip
        if kept.has(sha256):
            continue
        try:
            count += kept.keep(sha256, partial(_bytes, files, image_id))
        except SourceError:
            missing.append(image_id)
    return count, tuple(missing)


def _bytes(files: OriginalFiles, image_id: str) -> bytes:
    return files.open(image_id).data()
