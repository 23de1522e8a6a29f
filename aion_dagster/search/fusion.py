"""Several rankings into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aion_dagster.search.hits import Hit


def reciprocal_rank(
    lists: Iterable[Sequence[Hit]],
    k: int = 60,
    limit: int = 20,
    weights: Sequence[float] | None = None,
) -> list[Hit]:
    """Reciprocal rank fusion: a picture's score is the sum of weight / (k + rank) over the lists that have it.

    Only ranks count, so that BM25 and cosines can be mixed. A picture that a list has twice counts by its first place.
    Equal scores come in the order of their ids.

    Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
    (2009), where k = 60.

    Args:
        lists: rankings, each best first.
        k: how little the first places are favoured; 0 or more.
        limit: how many hits at most.
        weights: how much each list counts; 1 each if None.
    """
    fused: dict[str, float] = {}
    ranked = list(lists)
    for weight, ranking in zip(weights or [1.0] * len(ranked), ranked, strict=True):
        seen: set[str] = set()
        for hit in ranking:
            if hit.image_id in seen:
                continue
            seen.add(hit.image_id)
            fused[hit.image_id] = fused.get(hit.image_id, 0.0) + weight / (k + len(seen))
    hits = (Hit(image_id, score) for image_id, score in fused.items())
    return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))[: max(limit, 0)]
