"""Nearest neighbours among vectors, exactly, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aion_dagster.search.hits import Hit, best


def nearest(
    ids: Sequence[str], vectors: NDArray[np.float32], query: NDArray[np.float32], limit: int = 20
) -> list[Hit]:
    """The pictures whose vectors have the largest dot product with the query: for unit vectors, the cosine.

    One pass over everything, a few milliseconds per 100,000 rows of 384; no index, and so nothing missed.

    Args:
        ids: n image ids.
        vectors: (n, d) float32, of unit length.
        query: (d,) float32, of unit length, from the same model.
        limit: how many hits at most.

    Raises:
        ValueError: the shapes do not fit.
    """
    if vectors.ndim != 2 or len(ids) != len(vectors) or query.shape != vectors.shape[1:]:
        raise ValueError(
            f"{len(ids)} ids, vectors {vectors.shape} and a query {query.shape} do not fit; n ids, (n, d) and (d,) do"
        )
    return best(ids, vectors @ query, limit)
