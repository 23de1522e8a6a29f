"""Plain text: form feeds divide it into pages."""

from __future__ import annotations

from aion_dagster.compute.documents.document import ExtractedDocument, join_pages, printable
from aion_dagster.compute.documents.text_encoding import decode


def read_plain_text(data: bytes) -> ExtractedDocument:
    """The text of a .txt file; it has page numbers where it has form feeds, and never headings."""
    raw, encoding = decode(data)
    text = printable(raw)
    engine = f"text/{encoding}"
    if not text.strip():
        return ExtractedDocument("no_text", "txt", "the file holds nothing but white space", engine)
    parts = text.rstrip("\f\n ").split("\f")
    if len(parts) == 1:
        return ExtractedDocument("completed", "txt", None, engine, parts[0])
    whole, pages = join_pages(parts)
    return ExtractedDocument("completed", "txt", None, engine, whole, pages, page_count=len(pages))
