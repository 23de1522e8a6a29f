"""Pages without text, read from their pictures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    ExtractionError,
    Heading,
    Limits,
    join_pages,
    number_ranges,
    printable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ReadPage = Callable[["NDArray[np.uint8]"], str]
"""Reads the text of a rendered page: RGB uint8 (height, width, 3) to lines; may raise an ExtractionError."""

Render = Callable[[int], "NDArray[np.uint8]"]
"""Renders a page by its number from 1; may raise an ExtractionError."""


def read_scans(
    document: ExtractedDocument, render: Render, read_page: ReadPage, limits: Limits
) -> ExtractedDocument:
    """The document with the text of its textless pages, as far as there is any; other pages stay as they are.

    Its status becomes `completed` where any page has text then. The reason names the pages that stay without.
    """
    asked = document.textless_pages[: limits.max_ocr_pages]
    read: dict[int, str] = {}
    unrendered: list[int] = []
    for number in asked:
        try:
            text = printable(read_page(render(number))).strip()
        except ExtractionError:
            unrendered.append(number)
            continue
        if text:
            read[number] = text
    blank = [n for n in asked if n not in read and n not in unrendered]
    notes = [
        document.reason
        if document.status == "completed" and "cut off" in (document.reason or "")
        else "",
        f"text recognised on pages {number_ranges(read)}" if read else "",
        f"pages on which no text was recognised: {number_ranges(blank)}" if blank else "",
        f"pages that cannot be rendered or read: {number_ranges(unrendered)}" if unrendered else "",
        f"more than max_ocr_pages = {limits.max_ocr_pages} pages need it"
        if len(asked) < len(document.textless_pages)
        else "",
    ]
    reason = "; ".join(note for note in notes if note) or None
    if not read:
        return replace(document, reason=reason)
    text, pages = join_pages(
        read.get(p.number, document.text[p.start : p.end]) for p in document.pages
    )
    headings = tuple(_moved(h, document, [p.start for p in pages]) for h in document.headings)
    return replace(
        document,
        status="completed",
        reason=reason,
        text=text,
        pages=pages,
        headings=headings,
        textless_pages=tuple(n for n in document.textless_pages if n not in read),
    )


def _moved(heading: Heading, document: ExtractedDocument, starts: list[int]) -> Heading:
    """The heading at the same place of the same page."""
    at = bisect_right(document.pages, heading.start, key=lambda p: p.start) - 1
    offset = heading.start - document.pages[at].start
    return replace(heading, start=starts[at] + offset)
