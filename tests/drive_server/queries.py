"""The `q` parameter: a small language of conditions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from .items import ROOT, Item
from .refusals import invalid

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<sign>!=|=|<=|>=|<|>|\(|\))|(?P<word>[A-Za-z.]+))"
)

Test = Callable[[Item, bool], bool]
"""Of an item and of whether it is in the trash, itself or by its folder."""


@dataclass(frozen=True)
class Query:
    """`test` decides; `parents` are the only folders whose entries can pass, None where any may."""

    test: Test
    parents: frozenset[str] | None


@lru_cache(maxsize=4096)
def parsed(text: str) -> Query:
    tokens: list[str] = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise invalid("q")
        tokens.append(found.group().strip())
        place = found.end()
    if not tokens:
        return Query(lambda _, __: True, None)
    reader = _Reader(tokens)
    query = reader.either()
    if reader.tokens:
        raise invalid("q")
    return query


class _Reader:
    """Reads conditions from the front of the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def either(self) -> Query:
        parts = [self.both()]
        while self.take_if("or"):
            parts.append(self.both())
        if len(parts) == 1:
            return parts[0]
        folders = [p.parents for p in parts]
        anywhere = any(f is None for f in folders)
        union = None if anywhere else frozenset().union(*(f for f in folders if f is not None))
        return Query(lambda i, t: any(p.test(i, t) for p in parts), union)

    def both(self) -> Query:
        parts = [self.single()]
        while self.take_if("and"):
            parts.append(self.single())
        if len(parts) == 1:
            return parts[0]
        folders = [p.parents for p in parts if p.parents is not None]
        shared = frozenset.intersection(*folders) if folders else None
        return Query(lambda i, t: all(p.test(i, t) for p in parts), shared)

    def single(self) -> Query:
        if self.take_if("not"):
            inner = self.single()
            return Query(lambda i, t: not inner.test(i, t), None)
        if self.take_if("("):
            query = self.either()
            if not self.take_if(")"):
                raise invalid("q")
            return query
        return self.condition()

    def condition(self) -> Query:
        left, sign, right = self.take(), self.take(), self.take()
        if sign == "in" and right == "parents":
            named = _text(left)
            folder = ROOT if named == "root" else named
            return Query(lambda i, _: i.parent == folder, frozenset([folder]))
        if sign not in ("=", "!="):
            raise invalid("q")
        same = sign == "="
        if left == "trashed":
            if right not in ("true", "false"):
                raise invalid("q")
            return Query(lambda _, t: (t == (right == "true")) == same, None)
        value = _text(right)
        fields: dict[str, Callable[[Item], str]] = {
            "mimeType": lambda i: i.mime_type,
            "name": lambda i: i.name,
            "shortcutDetails.targetId": lambda i: i.target,
        }
        if left not in fields:
            raise invalid("q")
        return Query(lambda i, _: (fields[left](i) == value) == same, None)

    def take(self) -> str:
        if not self.tokens:
            raise invalid("q")
        return self.tokens.pop(0)

    def take_if(self, word: str) -> bool:
        if self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            return True
        return False


def _text(token: str) -> str:
    if not token.startswith("'"):
        raise invalid("q")
    return re.sub(r"\\(.)", r"\1", token[1:-1])
