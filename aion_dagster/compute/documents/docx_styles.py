"""What a DOCX says about its paragraphs' roles: heading levels by style, list marks by numbering."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from docx.oxml.ns import qn

_HEADING: Final = re.compile(r"heading\s+([1-9])$", re.IGNORECASE)
_BULLET: Final = "bullet"
_NO_MARK: Final = "none"
_DEEPEST: Final = 20
"""Styles that a style may be based on, one on another: a cycle ends here."""


def value(element: Any, path: str) -> str | None:
    """The attribute w:val of the child that `path` names (w:a/w:b), None where there is none."""
    for name in path.split("/"):
        element = element.find(qn(name)) if element is not None else None
    found = element.get(qn("w:val")) if element is not None else None
    return None if found is None else str(found)


@dataclass(frozen=True)
class Styles:
    """Paragraph styles by id: the heading level (1–9), whether it is the title's, the numbering it brings."""

    levels: Mapping[str, int]
    titles: frozenset[str]
    numbering: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, root: Any | None) -> Styles:
        """Read w:styles; a style inherits what the style it is based on says."""
        raw = {} if root is None else {s.get(qn("w:styleId")): s for s in root.iter(qn("w:style"))}
        levels: dict[str, int] = {}
        titles: set[str] = set()
        numbering: dict[str, tuple[str, str]] = {}
        for name in raw:
            if not name:
                continue
            for style in _ancestry(raw, name):
                called = value(style, "w:name") or ""
                level = _heading_level(called, value(style, "w:pPr/w:outlineLvl"))
                if level:
                    levels.setdefault(name, level)
                if called.lower() == "title":
                    titles.add(name)
                number = value(style, "w:pPr/w:numPr/w:numId")
                if number:
                    depth = value(style, "w:pPr/w:numPr/w:ilvl") or "0"
                    numbering.setdefault(name, (number, depth))
        return cls(levels, frozenset(titles), numbering)


def _ancestry(raw: Mapping[str | None, Any], name: str) -> list[Any]:
    chain: list[Any] = []
    at: str | None = name
    while at in raw and len(chain) < _DEEPEST:
        chain.append(raw[at])
        at = value(raw[at], "w:basedOn")
    return chain


def _heading_level(name: str, outline: str | None) -> int | None:
    match = _HEADING.match(name)
    if match:
        return int(match[1])
    return outline_level(outline)


def outline_level(outline: str | None) -> int | None:
    """The level from 1 that w:outlineLvl means; 9 is body text."""
    return int(outline) + 1 if outline in tuple("012345678") else None


@dataclass
class Lists:
    """Marks of list items in the order in which they come: "- " for bullets, "3. " for anything counted."""

    _formats: Mapping[tuple[str, str], tuple[str, int]]
    _counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, root: Any | None) -> Lists:
        """Read w:numbering."""
        if root is None:
            return cls({})
        abstract: dict[str, dict[str, tuple[str, int]]] = {}
        for definition in root.iter(qn("w:abstractNum")):
            found = abstract.setdefault(definition.get(qn("w:abstractNumId")) or "", {})
            for level in definition.findall(qn("w:lvl")):
                begin = value(level, "w:start") or "1"
                kind = value(level, "w:numFmt") or "decimal"
                start = int(begin) if begin.isascii() and begin.isdigit() else 1
                found[level.get(qn("w:ilvl")) or "0"] = (kind, start)
        formats: dict[tuple[str, str], tuple[str, int]] = {}
        for number in root.iter(qn("w:num")):
            which = value(number, "w:abstractNumId") or ""
            for depth, form in abstract.get(which, {}).items():
                formats[number.get(qn("w:numId")) or "", depth] = form
        return cls(formats)

    def mark(self, number: str, depth: str) -> str | None:
        """The mark of the next item of a list at a depth, indented; None where the paragraph is no list item."""
        if number == "0":
            return None
        kind, start = self._formats.get((number, depth), (_BULLET, 1))
        level = int(depth) if depth in tuple("012345678") else 0
        counts = self._counts[number]
        counts[level] = counts.get(level, start - 1) + 1
        for deeper in [d for d in counts if d > level]:
            del counts[deeper]
        if kind == _NO_MARK:
            return None
        return "  " * level + ("- " if kind == _BULLET else f"{counts[level]}. ")
