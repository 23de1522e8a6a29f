"""Why words found something: which of them stand in which field, and the text around them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aion_dagster.search.index_file import TOKENS
from aion_dagster.search.words import terms_of

_OPEN: Final = "\x02"
_CLOSE: Final = "\x03"
"""Marks around matches; the index takes no text that has them."""

_SNIPPET_WORDS: Final = 16
_SNIPPET_CHARACTERS: Final = 240
"""Of a snippet at most, for text without spaces: what stands before a match is a third of it at most."""
_BETWEEN_LINES: Final = {"tags": ", ", "heading": " › "}


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """A field that has words of a query: the words as they stand there, and the text around the first of them.

    In `snippet` matches stand in [brackets]. It is text from outside: hostile until escaped.
    """

    field: str
    words: tuple[str, ...]
    snippet: str


def field_matches(
    weights: Mapping[str, float], query: str, rows: Mapping[str, Sequence[str]]
) -> dict[str, tuple[FieldMatch, ...]]:
    """The matching fields of each row that has any, the weightiest first.

    The rows are put into an index of their own in memory: the same tokens decide as in the search, and a frequent word
    is not looked up among all that have it.

    Args:
        weights: field → how much a word in it counts, in the order of the columns of `rows`.
        query: what was searched for.
        rows: id → the text of each field.
    """
    terms = terms_of(query)
    if not terms or not rows:
        return {}
    fields, ids = list(weights), list(rows)
    marked = ", ".join(f"highlight(t, {i}, ?, ?)" for i in range(len(fields)))
    places = ", ".join("?" * (len(fields) + 1))
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE t USING fts5({', '.join(fields)}, {TOKENS})")
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO t(rowid, {', '.join(fields)}) VALUES ({places})",  # noqa: S608 - constants
            [(number, *rows[one]) for number, one in enumerate(ids)],
        )
        found = connection.execute(
            f"SELECT rowid, {marked} FROM t WHERE t MATCH ?",  # noqa: S608 - constants
            [*(_OPEN, _CLOSE) * len(fields), " OR ".join(terms.wide)],
        ).fetchall()
    return {ids[number]: _matches(weights, texts) for number, *texts in found}


def _matches(weights: Mapping[str, float], texts: Sequence[str]) -> tuple[FieldMatch, ...]:
    matches = []
    for field, text in sorted(zip(weights, texts, strict=True), key=lambda x: -weights[x[0]]):
        words = [part.split(_CLOSE)[0] for part in text.split(_OPEN)[1:]]
        if words:
            matches.append(FieldMatch(field, tuple(dict.fromkeys(words)), _snippet(field, text)))
    return tuple(matches)


def _snippet(field: str, marked: str) -> str:
    """Some words around the first match, on one line."""
    words = _BETWEEN_LINES.get(field, " ").join(marked.split("\n")).split()
    first = next(i for i, word in enumerate(words) if _OPEN in word)
    start = max(0, min(first - _SNIPPET_WORDS // 3, len(words) - _SNIPPET_WORDS))
    end = start + _SNIPPET_WORDS
    text = " ".join(words[start:end])
    before, after = "…" if start else "", "…" if end < len(words) else ""
    if len(text) > _SNIPPET_CHARACTERS:
        first = max(0, text.index(_OPEN) - _SNIPPET_CHARACTERS // 3)
        before = "…" if first else before
        after = "…" if first + _SNIPPET_CHARACTERS < len(text) else after
        text = text[first : first + _SNIPPET_CHARACTERS]
    # A phrase, or a run of characters without spaces, may end outside.
    text += _CLOSE * (text.count(_OPEN) - text.count(_CLOSE))
    return f"{before}{text.replace(_OPEN, '[').replace(_CLOSE, ']')}{after}"
