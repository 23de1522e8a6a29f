"""What somebody typed, as expressions that SQLite's FTS5 understands and that mean nothing else."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_PHRASE_OR_WORD: Final = re.compile(r'"([^"]*)"|([^\s"]+)')
_MOST_TERMS: Final = 32
"""Terms of a query that count; a pasted page must not become an expression that SQLite refuses."""


def expressions(query: str) -> list[str]:
    """What to ask for, one after the other until something is found: all terms, then any. None without letters or digits."""
    terms = _terms(query)
    if len(terms) < 2:
        return terms
    return [" AND ".join(terms), " OR ".join(terms)]


def _terms(query: str) -> list[str]:
    """The words and phrases of a query as FTS5 expressions that mean only themselves.

    A word stands as itself or as a prefix; documents that have the word itself match both, and so rank before
    documents that only have a longer one.
    """
    text = query.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")
    terms = []
    for match in _PHRASE_OR_WORD.finditer(text):
        phrase, word = match.group(1), match.group(2)
        if phrase is not None and _has_token(phrase):
            terms.append(f'"{phrase}"')
        elif word is not None and _has_token(word):
            terms.append(f'("{word}" OR "{word}"*)' if len(word) > 1 else f'"{word}"')
    return list(dict.fromkeys(terms))[:_MOST_TERMS]


def _has_token(text: str) -> bool:
    """Whether the tokenizer finds a word in it: unicode61 takes letters, numbers and private-use characters."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)
