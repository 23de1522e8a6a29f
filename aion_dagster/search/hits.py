"""What a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture that was found.

    `score` orders the hits of one search, higher is better; scores of different kinds of search cannot be compared.
    Searches of other things than pictures put their ids in the same place.
    """

    image_id: str
    score: float


def best(
    ids: Sequence[str] | pa.ChunkedArray, scores: NDArray[np.floating[Any]], limit: int
) -> list[Hit]:
    """The `limit` best finite scores, best first; equal scores in the order of their ids."""
    usable = np.flatnonzero(np.isfinite(scores))
    if limit <= 0 or not len(usable):
        return []
    if len(usable) > limit:
        # Everything as good as the last one that fits stays in, so that ties are broken by id and not by position.
        floor = np.partition(scores[usable], len(usable) - limit)[len(usable) - limit]
        usable = usable[scores[usable] >= floor]
    named = (
        ids.take(pa.array(usable))
        if isinstance(ids, pa.ChunkedArray)
        else [ids[i] for i in usable.tolist()]
    )
    hits = [Hit(str(i), float(s)) for i, s in zip(named, scores[usable], strict=True)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))[:limit]
