"""What a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture that was found.

    `score` orders the hits of one search, higher is better; scores of different kinds of search cannot be compared.
    `snippet` is text around the match, as it came from outside: hostile until escaped.
    """

    image_id: str
    score: float
    snippet: str = ""


def best(ids: Sequence[str], scores: NDArray[np.floating], limit: int) -> list[Hit]:
    """The `limit` best finite scores, best first; equal scores in the order of their ids."""
    usable = np.flatnonzero(np.isfinite(scores))
    if limit <= 0 or not len(usable):
        return []
    if len(usable) > limit:
        # Everything as good as the last one that fits stays in, so that ties are broken by id and not by position.
        floor = np.partition(scores[usable], len(usable) - limit)[len(usable) - limit]
        usable = usable[scores[usable] >= floor]
    hits = [Hit(str(ids[i]), float(scores[i])) for i in usable.tolist()]
    return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))[:limit]
