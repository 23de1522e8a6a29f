"""Pictures that look like another: by descriptor and perceptual hash. Looks, not content: a red car finds red walls."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.errors import SourceError
from aion_dagster.schemas import STATUS_OK
from aion_dagster.search.hits import Hit, best
from aion_dagster.values import FileRef

_HASH_HEX: Final = 16
_UNRELATED_BITS: Final = 32
"""Unrelated pictures differ in half of the 64 bits; from there on the hash says nothing."""

_HASH_SHARE: Final = 0.5

Floats = NDArray[np.float32]


class LookIndex:
    """Descriptors and perceptual hashes of pictures, in memory; every question looks at all of them."""

    def __init__(self, ids: pa.ChunkedArray, descriptors: Floats, hashes: pa.ChunkedArray) -> None:
        """Use `from_tables`."""
        self.ids = ids
        self._descriptors = descriptors
        lengths = np.linalg.norm(descriptors, axis=1)
        self._lengths = np.where(lengths > 0, lengths, np.inf)
        values = [_bits(h) for h in hashes.to_pylist()]
        self._hashes = np.array([v or 0 for v in values], np.uint64)
        self._hashed = np.array([v is not None for v in values], bool)

    @classmethod
    def from_tables(cls, features: pa.Table, images: pa.Table) -> Self:
        """Index pictures.

        Args:
            features: schema `VISUAL_FEATURES`; rows without a descriptor are not found, of several rows of a picture
                the first counts.
            images: columns `image_id` and `phash` (16 hex digits or null).
        """
        known = features.select(["image_id", "descriptor"])
        known = known.filter(pc.is_valid(known["descriptor"]))
        rows = pa.array(range(known.num_rows), pa.int64())
        grouped = pa.table({"id": known["image_id"], "row": rows}).group_by("id")
        known = known.take(grouped.aggregate([("row", "min")])["row_min"].sort())
        places = pc.index_in(known["image_id"], images["image_id"].combine_chunks())
        flat = pc.list_flatten(known["descriptor"]).to_numpy()
        matrix = np.asarray(flat, np.float32).reshape(known.num_rows, -1) if len(flat) else None
        return cls(
            known["image_id"],
            np.zeros((0, 0), np.float32) if matrix is None else matrix,
            images["phash"].take(places),
        )

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._descriptors)

    def look_of(self, image_id: str) -> tuple[Floats, str | None] | None:
        """Descriptor and perceptual hash of one of the pictures; None where it is not among them."""
        place = pc.index(self.ids, image_id).as_py()
        if place < 0:
            return None
        phash = f"{int(self._hashes[place]):016x}" if self._hashed[place] else None
        return self._descriptors[place], phash

    def nearest(
        self,
        descriptor: Floats,
        phash: str | None,
        limit: int = 20,
        *,
        among: NDArray[np.bool_] | None = None,
    ) -> list[Hit]:
        """Pictures that look alike, near-duplicates first.

        The score is the mean of two likenesses, 1 for the same picture: the cosine of the descriptors, and 1 - bits /
        32 (not below 0) for the bits in which the perceptual hashes differ. Where either hash is missing, the cosine
        alone. It compares layout, tones and colors; it knows nothing of what is shown.

        Args:
            descriptor: (d,) float32 of the picture asked for, made as those of the index.
            phash: its perceptual hash, 16 hex digits; None where there is none.
            limit: how many hits at most. The picture itself is among them where it is in the index.
            among: (n,) which of `ids` may be found; all by default.

        Raises:
            ValueError: `phash` is not 16 hex digits, or the descriptor has another length than those of the index.
        """
        if not len(self):
            return []
        if descriptor.shape != self._descriptors.shape[1:]:
            raise ValueError(
                f"the descriptor has shape {descriptor.shape}, those of the library {self._descriptors.shape[1:]}; "
                "compute it anew"
            )
        length = float(np.linalg.norm(descriptor)) or np.inf
        scores = (self._descriptors @ descriptor) / (self._lengths * length)
        if phash is not None:
            asked = _bits(phash)
            if asked is None:
                raise ValueError(f"{phash!r} is not a perceptual hash: 16 hex digits are")
            differing = np.bitwise_count(self._hashes ^ np.uint64(asked))
            likeness = np.clip(1.0 - differing / _UNRELATED_BITS, 0.0, 1.0)
            mixed = (1 - _HASH_SHARE) * scores + _HASH_SHARE * likeness
            scores = np.where(self._hashed, mixed, scores)
        if among is not None:
            scores = np.where(among, scores, np.nan)
        return best(self.ids, scores, limit)


def similar(
    features: pa.Table, images: pa.Table, descriptor: Floats, phash: str | None, limit: int = 20
) -> list[Hit]:
    """`LookIndex.nearest` for one question."""
    return LookIndex.from_tables(features, images).nearest(descriptor, phash, limit)


def look_of_file(path: Path) -> tuple[Floats, str | None]:
    """Descriptor and perceptual hash of a picture file.

    Raises:
        SourceError: it cannot be read, or is no picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    ref = FileRef("", path.as_posix(), path.name, "", len(data), datetime.now(UTC))
    settings = PassSettings(parts=frozenset({"images", "visual_features"}))
    chunk = next(run_pass([PictureInput(ref, lambda: data)], settings))
    row = chunk.images.to_pylist()[0]
    if row["status"] != STATUS_OK:
        raise SourceError(f"{path} is no picture that can be compared: {row['error']}")
    descriptor = chunk.visual_features["descriptor"].to_pylist()[0]
    return np.asarray(descriptor, np.float32), row["phash"]


def _bits(phash: str | None) -> int | None:
    if phash is None or len(phash) != _HASH_HEX:
        return None
    try:
        return int(phash, 16)
    except ValueError:
        return None
