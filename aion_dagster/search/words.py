"""What somebody typed, as expressions that SQLite's FTS5 understands and that mean nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final

_PHRASE_OR_WORD: Final = re.compile(r'"([^"]*)"|([^\s"]+)')
_MOST_TERMS: Final = 32
"""Terms of a query that count; a pasted page must not become an expression that SQLite refuses."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The words and phrases of a query, each as an FTS5 expression: `exact` means only itself, `wide` also the beginning
    of longer words. Documents that have a word itself match both parts of the wide one, and so rank before others."""

    exact: tuple[str, ...]
    wide: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is anything to search for."""
        return bool(self.exact)

    def joined(self, operator: str) -> tuple[str, str]:
        """The exact and the wide expression of all terms, joined by " AND " or " OR "."""
        return operator.join(self.exact), operator.join(self.wide)

    def only(self, chosen: Sequence[bool]) -> Terms:
        """Those of the terms that are chosen, each by its place."""
        return Terms(tuple(compress(self.exact, chosen)), tuple(compress(self.wide, chosen)))


def terms_of(query: str) -> Terms:
    """What a query asks for; nothing else in it has a meaning, and one without letters or digits asks for nothing."""
    text = query.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")
    terms: dict[str, str] = {}
    for match in _PHRASE_OR_WORD.finditer(text):
        phrase, word = match.group(1), match.group(2)
        if phrase is not None and _has_token(phrase):
            terms[f'"{phrase}"'] = f'"{phrase}"'
        elif word is not None and _has_token(word):
            terms[f'"{word}"'] = f'("{word}" OR "{word}"*)' if len(word) > 1 else f'"{word}"'
    exact = tuple(terms)[:_MOST_TERMS]
    return Terms(exact, tuple(terms[term] for term in exact))


def _has_token(text: str) -> bool:
    """Whether the tokenizer finds a word in it: unicode61 takes letters, numbers and private-use characters."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)
