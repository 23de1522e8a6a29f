"""How well questions find the pages that answer them: recall and nDCG of the first ten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aion_dagster.search.document_search import joined, rankings
from aion_dagster.search.library import ALL_DOCUMENTS
from aion_dagster.search.library_tables import LibraryTables
from aion_dagster.search.texts import DEPTH, Embed

from .pages import named

Way = Literal["words", "vectors", "both"]
WAYS: tuple[Way, ...] = ("words", "vectors", "both")
FIRST = 10


@dataclass(frozen=True)
class Question:
    """What somebody asks, and the pages that answer it; `tuned`: rankings may be chosen by it."""

    text: str
    pages: frozenset[str]
    tuned: bool


def questions(there: Iterable[str]) -> list[Question]:
    """The questions that pages which are there can answer."""
    pages, found = set(there), []
    lines = (Path(__file__).parent / "queries.txt").read_text().splitlines()
    for number, line in enumerate(x for x in lines if not x.startswith("#")):
        text, _, answers = line.partition("|")
        wanted = frozenset(a.strip() for a in answers.split(",")) & pages
        if wanted:
            found.append(Question(text.strip(), wanted, tuned=number % 2 == 0))
    return found


def found_pages(tables: LibraryTables, embed: Embed, question: str, way: Way) -> list[str]:
    """The first pages that are found in one way."""
    words, meaning = rankings(tables, embed, question, ALL_DOCUMENTS, DEPTH)
    both = joined(words, meaning, 2 * DEPTH)
    hits = {"words": words, "vectors": meaning, "both": both}[way]
    chunks = tables.words.chunks([hit.image_id for hit in hits])
    return list(dict.fromkeys(named(chunks[hit.image_id].name) for hit in hits))[:FIRST]


def recall(found: Sequence[str], wanted: frozenset[str]) -> float:
    """Share of the wanted pages among the first ten."""
    return len(wanted & set(found)) / min(len(wanted), FIRST)


def ndcg(found: Sequence[str], wanted: frozenset[str]) -> float:
    """Discounted gain against the best order: 1 where all wanted pages come first."""
    gain = sum(1 / math.log2(place + 2) for place, page in enumerate(found) if page in wanted)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(len(wanted), FIRST)))


def means(asked: Sequence[Question], find: Callable[[str], Sequence[str]]) -> Mapping[str, float]:
    """Means over the questions."""
    results = [(find(q.text), q.pages) for q in asked]
    return {
        "recall@10": sum(recall(f, w) for f, w in results) / len(asked),
        "nDCG@10": sum(ndcg(f, w) for f, w in results) / len(asked),
    }
