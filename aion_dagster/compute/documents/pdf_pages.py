"""What both PDF readers share: the text of a page made plain, bounds, and the verdict on the whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    ExtractionError,
    Limits,
    number_ranges,
    printable,
)

PageCount = Callable[[int], None]
"""Told how many pages there are before they are read."""

_HYPHEN: Final = re.compile("[\ufffe\x02]\\s*")
"""PDFium's mark of a word that was divided at the end of a line."""


def clean_page(raw: str) -> str:
    """Line feeds as line ends, divided words joined, no control characters, no white space around."""
    text = _HYPHEN.sub(lambda mark: _joint(raw, mark.end()), raw)
    return printable(text).replace("\f", "\n").strip()


def _joint(text: str, place: int) -> str:
    """What stands between the halves of a divided word: "long-Term" and "1990-95" keep their hyphen."""
    return "" if text[place : place + 1].islower() else "-"


def check_page_count(count: int, limits: Limits) -> None:
    """Refuse a file with too many pages before any is read."""
    if count > limits.max_pages:
        reason = f"it has {count} pages, more than max_pages = {limits.max_pages}"
        raise ExtractionError("too_many_pages", reason)


def check_characters(count: int, limits: Limits) -> None:
    """Refuse a text that grows too long."""
    if count > limits.max_characters:
        reason = f"its text has more than max_characters = {limits.max_characters}"
        raise ExtractionError("too_large", reason)


def judged(document: ExtractedDocument, broken: list[int], *, cut_off: bool) -> ExtractedDocument:
    """The document with its final status, and a reason where something is missing."""
    notes = []
    if cut_off:
        notes.append("the file is cut off; what was left of it was read")
    if broken:
        notes.append(f"pages that cannot be read: {number_ranges(broken)}")
    seen = document.textless_pages
    if document.text:
        if seen:
            notes.append(f"pages that show something but hold no text: {number_ranges(seen)}")
        return replace(document, reason="; ".join(notes) or None)
    if seen:
        count = document.page_count
        notes.insert(0, f"none of its {count} pages holds text: scanned or drawn")
    else:
        notes.insert(0, "its pages are blank")
    return replace(document, status="no_text", reason="; ".join(notes))
