"""Which texts have the words of a query, and how well: BM25 over an FTS5 table, bounded where very many have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from aion_dagster.search.words import Terms

MOST_RANKED: Final = 1_000
"""Rows that BM25 is computed for. A word that more pictures have says little about any of them, and ranking all would take
a tenth of a second per 100,000."""

_LEAST_COMMON: Final = 20
"""Rows that a word has at least to be called common: fewer fit on a page, and half of a few says nothing."""

_WEIGHTS: Final = {
    "name": 2.0,
    "title": 4.0,
    "description": 2.0,
    "tags": 4.0,
    "visible_text": 1.0,
}
"""Column → how much a word in it counts (BM25); long and noisy columns count less."""

_CHUNK_WEIGHTS: Final = {"heading": 2.0, "content": 1.0}

Ask = Callable[[str, Sequence[Any]], list[Any]]
"""A statement and its arguments to the rows that answer it."""

Costs = list[tuple[int, float]]
"""Row and cost of what matches, in no order; less is better."""


@dataclass(frozen=True)
class Texts:
    """An FTS5 table and the table that knows the ids of its rows."""

    words: str
    weights: dict[str, float]
    owners: str
    key: str
    id_column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that have text."""
        return tuple(self.weights)

    @property
    def rank(self) -> str:
        """BM25 with the weights of the columns, as an expression of SQL."""
        return f"bm25({self.words}, {', '.join(map(str, self.weights.values()))})"


PICTURES: Final = Texts("words", _WEIGHTS, "pictures", "picture", "image_id")
CHUNKS: Final = Texts("chunk_words", _CHUNK_WEIGHTS, "chunks", "chunk", "chunk_id")


@dataclass(frozen=True)
class WordRanking:
    """The ranking of one question: the texts, how to ask for them, and the rows that may be found (all by default)."""

    texts: Texts
    ask: Ask
    among: list[int] | None = None

    def costs(self, terms: Terms, limit: int) -> Costs:
        """Rows with all terms; where there are none, those with any.

        Of the latter, words that half of all rows have ("of", "the") count only where nothing else is found: they would
        find everything, and BM25 gives them no weight.
        """
        if not terms:
            return []
        found = self._either(*terms.joined(" AND "), limit)
        if found or len(terms.exact) == 1:
            return found
        counts = {term: self._count(term, self._half) for term in terms.exact}
        telling = terms.only([counts[term] < self._half for term in terms.exact])
        return self._any(telling, counts, limit) or self._any(terms, counts, limit)

    def _any(self, terms: Terms, counts: dict[str, int], limit: int) -> Costs:
        """Rows with any of the terms: those with the rarer terms are surely among them."""
        if not terms:
            return []
        exact, wide = terms.joined(" OR ")
        rare = terms.only([counts[term] < MOST_RANKED for term in terms.exact])
        found = self._either(exact, wide, limit)
        if len(found) < MOST_RANKED or not rare:
            return found
        surely = self._costs(f"({rare.joined(' OR ')[0]}) AND ({exact})")
        return list({**dict(found), **dict(surely)}.items())

    def _either(self, exact: str, wide: str, limit: int) -> Costs:
        # Beginnings of longer words would come last: where they do not fit, they need not be looked for.
        found = self._ranked(exact)
        return self._ranked(wide) if len(found) < limit and wide != exact else found

    def _ranked(self, expression: str) -> Costs:
        if self.texts is not PICTURES or self._count(expression, MOST_RANKED) < MOST_RANKED:
            return self._costs(expression)
        better = self._costs(f"{{title tags}} : ({expression})")
        if len(better) >= MOST_RANKED:
            return better
        return list({**dict(self._costs(expression)), **dict(better)}.items())

    def _count(self, expression: str, most: int) -> int:
        """How many rows match, counted up to `most`; a twentieth of the work of ranking them."""
        ((count,),) = self.ask(
            f"SELECT count(*) FROM (SELECT 1 FROM {self.texts.words} WHERE {self.texts.words} MATCH ? LIMIT ?)",  # noqa: S608 - constants
            (expression, most),
        )
        return int(count)

    @cached_property
    def _half(self) -> int:
        """Rows that make a word common."""
        ((count,),) = self.ask(f"SELECT count(*) FROM {self.texts.owners}", ())  # noqa: S608 - constants
        return max(_LEAST_COMMON, (int(count) + 1) // 2)

    def _costs(self, expression: str) -> Costs:
        # The sign keeps SQLite from asking FTS5 anew for every row of the list.
        inside = "" if self.among is None else "AND +rowid IN (SELECT value FROM json_each(?)) "
        arguments = [expression, *([] if self.among is None else [json.dumps(self.among)])]
        return self.ask(
            f"SELECT rowid, {self.texts.rank} FROM {self.texts.words} "  # noqa: S608 - constants
            f"WHERE {self.texts.words} MATCH ? {inside}LIMIT ?",
            [*arguments, MOST_RANKED],
        )
