"""Markdown: its headings (ATX and setext), with code fences and front matter left alone. The text stays as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    Heading,
    Limits,
    one_line,
    printable,
)
from aion_dagster.compute.documents.text_encoding import decode

_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING: Final = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_INDENTED: Final = re.compile(r" {4}| {0,3}\t")
_OTHER_BLOCK: Final = re.compile(
    r" {0,3}(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]|<|\||(?:[*_][ \t]*){3,}$)"
)
_META: Final = re.compile(r"(title|author)[ \t]*:[ \t]*(.+)$", re.IGNORECASE)


def read_markdown(data: bytes, limits: Limits) -> ExtractedDocument:
    """The text of a .md file as it is, its headings by CommonMark's rules, title and author from YAML front matter.

    The first heading of level 1 is the title where front matter has none.
    """
    raw, encoding = decode(data)
    text = printable(raw).replace("\f", "\n")
    engine = f"markdown/{encoding}"
    if not text.strip():
        return ExtractedDocument("no_text", "md", "the file holds nothing but white space", engine)
    meta, body = _front_matter(text)
    headings: list[Heading] = []
    for heading in _headings(text, body):
        if len(headings) == limits.max_headings:
            break
        headings.append(heading)
    first = next((h.title for h in headings if h.level == 1), None)
    return ExtractedDocument(
        "completed",
        "md",
        None,
        engine,
        text,
        headings=tuple(headings),
        title=meta.get("title") or first,
        author=meta.get("author"),
    )


def _front_matter(text: str) -> tuple[dict[str, str], int]:
    """Title and author of a YAML block at the very beginning, and where the document goes on after it."""
    if not text.startswith("---\n"):
        return {}, 0
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, 4)
    if end is None:
        return {}, 0
    found: dict[str, str] = {}
    for line in text[4 : end.start()].split("\n"):
        match = _META.match(line)
        value = one_line(match[2].strip().strip("\"'")) if match else None
        if match and value:
            found.setdefault(match[1].lower(), value)
    return found, end.end()


def _headings(text: str, start: int) -> Iterator[Heading]:
    paragraph: list[str] = []
    paragraph_at = 0
    for here, line in _unfenced(text, start):
        atx = _ATX.match(line)
        setext = _SETEXT.match(line) if paragraph else None
        if setext:
            title = one_line(" ".join(paragraph))
            level, place = (1 if setext[1][0] == "=" else 2), paragraph_at
        else:
            title = one_line(_CLOSING.sub("", atx[2] or "")) if atx else None
            level, place = (len(atx[1]) if atx else 0), here
        if title:
            yield Heading(level, title, place)
        if atx or setext or not line.strip() or _OTHER_BLOCK.match(line):
            paragraph = []
        elif paragraph or not _INDENTED.match(line):
            paragraph_at = paragraph_at if paragraph else here
            paragraph.append(line.strip())


def _unfenced(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Lines outside code fences and where they begin; a fence counts as an empty line."""
    fence: str | None = None
    at = start
    for line in text[start:].split("\n"):
        here, at = at, at + len(line) + 1
        mark = _FENCE.match(line)
        if fence is not None:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = None
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
            yield here, ""
        else:
            yield here, line
