"""Ranking of a few texts by words (Okapi BM25): sentences, pieces, pictures of one batch. Larger ones have an index."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+(?=[^\s])|\n{2,}")
_HEADING: Final = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+(\S.*?)[ \t]*#*[ \t]*$", re.M)
_K1, _B = 1.2, 0.75
_MOST_CHARACTERS: Final = 600

STOP: Final = frozenset(
    re.findall(
        r"\S+",
        "a about above after all also an and any are as at be because been before being below between both but by can could "
        "did do does doing down each few for from further had has have having he her here him his how i if in into is it its "
        "itself just like may me more most my no nor not of off on once one only or other our out over own per she should so "
        "some such than that the their them then there these they this those through to too two under until up very was we "
        "were what when where which while who whom why will with would you your der die das und ist ein eine mit von auf im "
        "in den dem des zu für nicht als auch es an",
    )
)
"""Words that say nothing of a text's subject (English, and the commonest German ones)."""


def words_of(text: str) -> list[str]:
    """The words that count: folded, without stop words, plural endings taken off."""
    found = (word.casefold() for word in _WORD.findall(text))
    return [_stem(word) for word in found if word not in STOP and (len(word) > 1 or word.isdigit())]


def _stem(word: str) -> str:
    """The commonest English endings taken off, so that poles and pole are one word."""
    for ending, rest in (("ies", "y"), ("sses", "ss"), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            return word[: -len(ending)] + rest
    return word


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, each on one line and cut at 600 characters; Markdown's headings are some without their marks."""
    parts = (" ".join(part.split()) for part in _END.split(_HEADING.sub(r"\n\n\1\n\n", text)))
    return [part[:_MOST_CHARACTERS] for part in parts if any(c.isalnum() for c in part)]


class Texts:
    """Texts that questions can be put to."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Count the words of each."""
        self._counts = [Counter(words_of(text)) for text in texts]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / max(1, len(self._lengths)) or 1.0
        self._having = Counter(word for counts in self._counts for word in counts)

    def __len__(self) -> int:
        """How many texts."""
        return len(self._counts)

    def rarity(self, word: str) -> float:
        """Inverse document frequency of a word, above 0."""
        having = self._having[word]
        return math.log(1 + (len(self) - having + 0.5) / (having + 0.5))

    def scores(self, query: str) -> list[float]:
        """BM25 of every text, 0 where it has no word of the query."""
        asked = [(word, self.rarity(word)) for word in set(words_of(query))]
        return [
            sum(rarity * self._weight(counts[word], length) for word, rarity in asked)
            for counts, length in zip(self._counts, self._lengths, strict=True)
        ]

    def ranked(self, query: str) -> list[tuple[int, float]]:
        """Place and score of the texts with words of the query, best first."""
        scored = [(i, score) for i, score in enumerate(self.scores(query)) if score > 0]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    def shared(self, one: int, other: int) -> list[str]:
        """Words that two texts share, the rarest first."""
        common = self._counts[one].keys() & self._counts[other].keys()
        return sorted(common, key=lambda word: (-self.rarity(word), word))

    def telling(self, members: Sequence[int], most: int) -> list[str]:
        """The words (of letters alone) that tell some texts from the others, the most telling first: class-based TF-IDF."""
        inside = Counter(word for i in members for word in self._counts[i])
        share = {
            word: count / len(members) * self.rarity(word)
            for word, count in inside.items()
            if word.isalpha() and (count > 1 or len(members) == 1)
        }
        return sorted(share, key=lambda word: (-share[word], word))[:most]

    def _weight(self, count: int, length: int) -> float:
        return count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / self._mean))
