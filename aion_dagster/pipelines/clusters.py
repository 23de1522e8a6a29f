"""Clusters over unit vectors: k-means by cosine, the same for the same vectors, named by what their texts have of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.pipelines.ranking import Texts

_ROUNDS: Final = 25
_MOST: Final = 12
_ALIKE: Final = 0.92
"""Centers nearer than this (cosine) are one cluster."""

_NAME_WORDS: Final = 2
_SAME: Final = 1e-3
"""Distance from the mean below which a vector is the mean."""

Floats = NDArray[np.float32]


def clusters(vectors: Floats, wanted: int | None = None) -> NDArray[np.int64]:
    """The cluster of each row of unit vectors (n, d): numbers from 0, the largest cluster first.

    What all have in common is taken off first. Centers begin at the rows farthest from each other, so that the result does not depend on chance.

    Args:
        vectors: rows of unit length.
        wanted: how many clusters; None for about √(n/2), at most 12, those that are alike joined.
    """
    n = len(vectors)
    vectors = _centered(vectors)
    if n == 0 or not vectors.any():
        return np.zeros(n, np.int64)
    k = min(n, wanted or min(_MOST, max(1, round(math.sqrt(n / 2)))))
    centers = _far_apart(vectors, k)
    labels = np.argmax(vectors @ centers.T, axis=1)
    for _ in range(_ROUNDS):
        for c in range(len(centers)):
            members = vectors[labels == c]
            if len(members):
                centers[c] = _unit(members.mean(axis=0))
        moved = np.argmax(vectors @ centers.T, axis=1)
        if np.array_equal(moved, labels):
            break
        labels = moved
    if wanted is None:
        labels = _joined(labels, centers)
    return _by_size(labels)


def names_of(labels: NDArray[np.int64], texts: Sequence[str]) -> dict[int, str]:
    """A name for each cluster: the words of its texts that others do not have, no name twice."""
    counted = Texts(texts)
    names: dict[int, str] = {}
    for label in sorted({int(x) for x in labels}):
        members = [int(i) for i in np.flatnonzero(labels == label)]
        words = counted.telling(members, _NAME_WORDS + 2)
        name = " ".join(words[:_NAME_WORDS]) or f"group {label + 1}"
        if name in names.values():
            name = " ".join(words) if " ".join(words) not in names.values() else name
        if name in names.values():
            name = f"{name} {label + 1}"
        names[label] = name
    return names


def _centered(vectors: Floats) -> Floats:
    """Unit vectors from the mean; rows at the mean itself are zero."""
    if len(vectors) < 2:
        return vectors
    off = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(off, axis=1, keepdims=True)
    return np.asarray(off / np.where(lengths > _SAME, lengths, np.inf), np.float32)


def _far_apart(vectors: Floats, k: int) -> Floats:
    """k rows: the one nearest to the mean, then always the one farthest from those chosen."""
    first = int(np.argmax(vectors @ _unit(vectors.mean(axis=0))))
    chosen = [first]
    nearest = vectors @ vectors[first]
    while len(chosen) < k:
        place = int(np.argmin(nearest))
        if nearest[place] > 0.9999:
            break
        chosen.append(place)
        nearest = np.maximum(nearest, vectors @ vectors[place])
    return np.array(vectors[chosen], np.float32)


def _joined(labels: NDArray[np.int64], centers: Floats) -> NDArray[np.int64]:
    """Clusters whose centers are alike as one."""
    parent = list(range(len(centers)))
    near = centers @ centers.T
    for one in range(len(centers)):
        for other in range(one):
            if near[one, other] > _ALIKE:
                parent[one] = parent[other]
                break
    return np.array([parent[label] for label in labels], np.int64)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    used, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = sorted(range(len(used)), key=lambda i: (-counts[i], first[i]))
    number = {int(used[i]): place for place, i in enumerate(order)}
    return np.array([number[int(label)] for label in labels], np.int64)


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
