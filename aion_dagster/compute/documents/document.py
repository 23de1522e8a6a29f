"""What a document says: its whole text, where pages and headings begin in it, or why there is none."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from aion_dagster.errors import AionError

DocumentType = Literal["pdf", "docx", "txt", "md"]
Status = Literal[
    "completed",
    "encrypted",
    "no_text",
    "empty",
    "unreadable",
    "too_large",
    "too_many_pages",
    "unsupported",
]
STATUSES: Final[tuple[str, ...]] = get_args(Status)
"""`completed` is the Aionvision API's word; the others say which way its `failed` came about."""

MEDIA_TYPES: Final[dict[str, str]] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "txt": "text/plain",
    "md": "text/markdown",
}
"""Document type → media type."""

PAGE_BREAK: Final = "\n\n"
"""Stands between the texts of two pages."""

MAX_TITLE: Final = 300
"""Characters that are kept of a title, an author or a heading."""


class ExtractionError(AionError):
    """A document gives no text; `status` is its status in `documents`, the message the reason."""

    def __init__(self, status: Status, reason: str) -> None:
        """Keep the status beside the message."""
        super().__init__(reason)
        self.status: Status = status


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost.

    Args:
        max_bytes: size of the file.
        max_pages: pages of a PDF; one with more is `too_many_pages` and not read at all.
        max_characters: characters of text; a document with more is `too_large`.
        max_unpacked_bytes: XML in a DOCX, unpacked.
        max_headings: headings that are kept.
        seconds: time for a document, by the clock, in a process of its own.
        seconds_per_page: more time for each page beyond the first hundred, as far as the file's size makes so many
            pages believable (256 bytes each).
        memory_bytes: address space of that process.
        max_ocr_pages: pages of one document that are rendered to be read.
    """

    max_bytes: int = 256 * 2**20
    max_pages: int = 20_000
    max_characters: int = 32_000_000
    max_unpacked_bytes: int = 64 * 2**20
    max_headings: int = 20_000
    seconds: float = 9.0
    seconds_per_page: float = 0.02
    memory_bytes: int = 2**30
    max_ocr_pages: int = 200


@dataclass(frozen=True, slots=True)
class Page:
    """A page by its number from 1; its text is `text[start:end]` of the document, empty where it has none."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: `level` from 1, `start` is the character of the document's text at which what it stands over begins."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class ExtractedDocument:
    """The text of one document, or the reason why there is none.

    Attributes:
        status: `completed` or what came in the way.
        document_type: what the bytes are, whatever the name said; None where they are no document.
        reason: why there is no text; where there is some, what is missing of it; else None.
        engine: library and version that read it.
        text: the whole text, lines ended by line feeds; empty unless `completed`.
        pages: in order; empty for formats without pages.
        headings: by `start`.
        textless_pages: numbers of pages that show something and hold no text: scans, drawings.
        transient: True where another attempt may end otherwise (out of time, crash of the reader).
    """

    status: Status
    document_type: DocumentType | None
    reason: str | None = None
    engine: str | None = None
    text: str = ""
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    title: str | None = None
    author: str | None = None
    page_count: int | None = None
    textless_pages: tuple[int, ...] = ()
    transient: bool = False

    def pages_of(self, start: int, end: int) -> list[int]:
        """Numbers of the pages that have characters in `text[start:end]`."""
        first = bisect_right(self.pages, start, key=lambda p: p.end)
        last = bisect_left(self.pages, end, key=lambda p: p.start)
        return [p.number for p in self.pages[first:last] if p.end > p.start]


def one_line(text: str | None) -> str | None:
    """A title or heading on one line, without what cannot be stored; None where nothing is left."""
    if not text:
        return None
    line = " ".join(printable(text).split())
    return line[:MAX_TITLE] or None


_DROPPED: Final = {c: None for c in range(32) if chr(c) not in "\t\n\r\f"} | {0x7F: None}


def printable(text: str) -> str:
    """`text` with line feeds as the only line ends, without control characters and lone surrogates."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.translate(_DROPPED)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def join_pages(texts: Iterable[str]) -> tuple[str, tuple[Page, ...]]:
    """The texts of pages 1, 2, … as one text, and where each stands in it."""
    parts: list[str] = []
    pages: list[Page] = []
    at = 0
    for number, raw in enumerate(texts, 1):
        text = raw.strip()
        if text and parts:
            parts.append(PAGE_BREAK)
            at += len(PAGE_BREAK)
        pages.append(Page(number, at, at + len(text)))
        if text:
            parts.append(text)
            at += len(text)
    return "".join(parts), tuple(pages)


def number_ranges(numbers: Iterable[int], *, most: int = 12) -> str:
    """Numbers as people write them: `1–3, 7`; ranges beyond `most` are counted."""
    ranges: list[list[int]] = []
    for n in numbers:
        if ranges and n == ranges[-1][1] + 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in ranges[:most]]
    left = sum(b - a + 1 for a, b in ranges[most:])
    return ", ".join(shown) + (f" and {left} more" if left else "")
