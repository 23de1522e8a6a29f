"""Pictures that look like another: by descriptor and perceptual hash. Looks, not content: a red car finds red walls."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.search.hits import Hit, best

_HASH_HEX: Final = 16
_UNRELATED_BITS: Final = 32
"""Unrelated pictures differ in half of the 64 bits; from there on the hash says nothing."""

_HASH_SHARE: Final = 0.5


def similar(
    features: pa.Table,
    images: pa.Table,
    descriptor: NDArray[np.float32],
    phash: str | None,
    limit: int = 20,
) -> list[Hit]:
    """Pictures that look alike, near-duplicates first.

    The score is the mean of two likenesses, 1 for the same picture: the cosine of the descriptors, and 1 - bits / 32
    (not below 0) for the bits in which the perceptual hashes differ. Where either hash is missing, the cosine alone.
    It compares layout, tones and colors; it knows nothing of what is shown.

    Args:
        features: schema `VISUAL_FEATURES`; rows without a descriptor are not found.
        images: columns `image_id` and `phash` (16 hex digits or null).
        descriptor: (d,) float32 of the picture asked for, made as those in `features`.
        phash: its perceptual hash, 16 hex digits; None where there is none.
        limit: how many hits at most. The picture itself is among them where it is in the library.

    Raises:
        ValueError: `phash` is not 16 hex digits, or the descriptor has another length than those in `features`.
    """
    known = features.select(["image_id", "descriptor"]).filter(pc.is_valid(features["descriptor"]))
    if not known.num_rows:
        return []
    matrix = _matrix(known["descriptor"])
    if descriptor.shape != matrix.shape[1:]:
        raise ValueError(
            f"the descriptor has shape {descriptor.shape}, those of the library {matrix.shape[1:]}; compute it anew"
        )
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(descriptor)
    cosine = (matrix @ descriptor) / np.where(lengths > 0, lengths, np.inf)
    ids = known["image_id"].to_pylist()
    if phash is None:
        return best(ids, cosine, limit)
    differing = _differing_bits(ids, images, phash)
    likeness = np.clip(1.0 - differing / _UNRELATED_BITS, 0.0, 1.0)
    mixed = (1 - _HASH_SHARE) * cosine + _HASH_SHARE * likeness
    return best(ids, np.where(np.isnan(differing), cosine, mixed), limit)


def _matrix(vectors: pa.ChunkedArray) -> NDArray[np.float32]:
    flat = pc.list_flatten(vectors).to_numpy()
    return np.asarray(flat, np.float32).reshape(len(vectors), -1)


def _differing_bits(ids: list[str], images: pa.Table, phash: str) -> NDArray[np.float64]:
    """Bits in which each picture's hash differs from `phash`; NaN where it has none."""
    asked = _bits(phash)
    if asked is None:
        raise ValueError(f"{phash!r} is not a perceptual hash: 16 hex digits are")
    hashes = dict(zip(images["image_id"].to_pylist(), images["phash"].to_pylist(), strict=True))
    values = [_bits(hashes.get(image_id)) for image_id in ids]
    packed = np.array([v or 0 for v in values], np.uint64) ^ np.uint64(asked)
    missing = np.array([v is None for v in values])
    return np.where(missing, np.nan, np.bitwise_count(packed).astype(np.float64))


def _bits(phash: str | None) -> int | None:
    if phash is None or len(phash) != _HASH_HEX:
        return None
    try:
        return int(phash, 16)
    except ValueError:
        return None
