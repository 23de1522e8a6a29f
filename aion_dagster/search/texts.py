"""What texts say: words and meaning, each a ranking, and the reasons why something was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aion_dagster.search.field_matches import FieldMatch
from aion_dagster.search.found import Reason
from aion_dagster.search.hits import Hit
from aion_dagster.search.vectors import VectorIndex

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors (n, d) of unit length."""

LEAST_SIMILARITY: Final = 0.3
"""Cosine below which a description is not taken to mean what was asked for.

Measured with all-MiniLM-L6-v2 on 30 captions and 7 descriptions of measured facts: of 35 paraphrases ("puppy on a lawn"
for a dog on the grass) 89 % lie above it, of other pairs 3 %; of 26 questions for what is not there or means nothing,
19 % find anything above, then something akin (a violin for "piano"). At 0.25 it were 97 %, 5 % and 42 %.
"""

DEPTH: Final = 200
"""Results of each ranking that are fused: a short list must not depend on how short it is."""


def nearest_meaning(
    embed: Embed, index: VectorIndex, query: str, limit: int, among: NDArray[np.bool_] | None
) -> list[Hit]:
    """What is near in meaning to a query, nearest first; nothing for one without text."""
    if not query.strip():
        return []
    vector = np.asarray(embed([query])[0], np.float32)
    return index.nearest(vector, limit, among=among, floor=LEAST_SIMILARITY)


def text_reasons(matches: Sequence[FieldMatch], similarity: float | None) -> tuple[Reason, ...]:
    """Which words stand where, then how near the meaning is, where it is near."""
    reasons = [Reason("words", words=m.words, field=m.field, snippet=m.snippet) for m in matches]
    if similarity is not None:
        reasons.append(Reason("meaning", similarity=similarity))
    return tuple(reasons)
