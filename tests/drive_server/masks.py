"""The `fields` parameter: which parts of a reply are sent."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .refusals import Refusal

Mask = dict[str, "Mask | None"]
_TOKEN = re.compile(r"[A-Za-z0-9_*]+|[(),/]")


@lru_cache(maxsize=256)
def parsed(text: str) -> Mask:
    """`a,b(c,d/e)` as nested mappings; None stands for everything below."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise _refused(text)
    mask, rest = _several(tokens)
    if rest:
        raise _refused(text)
    return mask


def _several(tokens: list[str]) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while True:
        name, below, tokens = _one(tokens)
        mask[name] = below
        if not tokens or tokens[0] == ")":
            return mask, tokens
        if tokens[0] != ",":
            raise _refused(tokens[0])
        tokens = tokens[1:]


def _one(tokens: list[str]) -> tuple[str, Mask | None, list[str]]:
    if not tokens or tokens[0] in "(),/":
        raise _refused("")
    name, tokens = tokens[0], tokens[1:]
    if tokens and tokens[0] == "/":
        inner, below, tokens = _one(tokens[1:])
        return name, {inner: below}, tokens
    if tokens and tokens[0] == "(":
        below_all, tokens = _several(tokens[1:])
        if not tokens:
            raise _refused(name)
        return name, below_all, tokens[1:]
    return name, None, tokens


def masked(value: Any, mask: Mask | None) -> Any:
    """What a mask leaves of a reply."""
    if mask is None or "*" in mask:
        return value
    if isinstance(value, list):
        return [masked(entry, mask) for entry in value]
    if isinstance(value, dict):
        return {name: masked(value[name], below) for name, below in mask.items() if name in value}
    return value


def check(mask: Mask, known: set[str]) -> None:
    """Refuse names that the reply can never have."""
    for name in mask:
        if name != "*" and name not in known:
            raise _refused(name)


def _refused(name: str) -> Refusal:
    return Refusal(400, "invalidParameter", f"Invalid field selection {name}", location="fields")
