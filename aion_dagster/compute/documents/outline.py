"""Bookmarks of a PDF as headings at places in its text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aion_dagster.compute.documents.document import Heading, Page, one_line

_LONGEST_SOUGHT: Final = 120
"""Characters of a title that are looked for: long ones run over several lines and differ somewhere."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of a PDF's outline: level from 1, title, number of the page it leads to."""

    level: int
    title: str
    page: int


def place_bookmarks(
    bookmarks: Iterable[Bookmark], text: str, pages: tuple[Page, ...], most: int
) -> tuple[Heading, ...]:
    """Headings sorted by place.

    A bookmark names a page. Its heading begins where a line of that page begins with its title (spaces and case
    aside), after the heading before it; where there is none, at the page's beginning.
    """
    placed: list[Heading] = []
    last = 0
    for mark in bookmarks:
        title = one_line(mark.title)
        if title is None or not 1 <= mark.page <= len(pages):
            continue
        page = pages[mark.page - 1]
        begin = max(page.start, last) if last <= page.end else page.start
        found = _line_with(title, text, begin, page.end)
        start = page.start if found is None else found
        if found is not None:
            last = found + 1
        placed.append(Heading(mark.level, title, start))
        if len(placed) == most:
            break
    placed.sort(key=lambda h: h.start)  # stable: entries of one place keep their order
    return tuple(placed)


def _line_with(title: str, text: str, start: int, end: int) -> int | None:
    """Where between `start` and `end` a line begins with `title`, perhaps after its number."""
    words = [re.escape(word) for word in title[:_LONGEST_SOUGHT].split()]
    pattern = (
        r"(?:^|(?<=\n))[ \t]*(?:[\dIVXA-Z]{1,4}[.)]?(?:\d{1,3}[.)]?){0,6}[ \t]{1,4})?"
        + r"\s{1,4}".join(words)
    )
    match = re.compile(pattern, re.IGNORECASE).search(text, start, end)
    return match.start() if match else None
