"""Bytes of a document to its text, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aion_dagster.compute.documents.document import (
    DocumentType,
    ExtractedDocument,
    ExtractionError,
    Limits,
)
from aion_dagster.compute.documents.kinds import kind_of
from aion_dagster.compute.documents.ocr import ReadPage, read_scans


def _untold(_pages: int) -> None:
    """For callers that do not wait for page counts."""


def extract(
    data: bytes,
    *,
    document_type: DocumentType,
    limits: Limits | None = None,
    ocr: ReadPage | None = None,
    told: Callable[[int], None] = _untold,
) -> ExtractedDocument:
    """The text of a document with its pages and headings, or a status and a reason.

    Runs in this process: for files from strangers use `DocumentReader`, which does the same in a process of its own.

    Args:
        data: the whole file.
        document_type: what the name says; what the bytes are decides.
        limits: bounds; time and memory are not watched here.
        ocr: reads the text of a rendered page, RGB uint8 (height, width, 3); pages without text are given to it.
        told: the number of pages of a PDF, before they are read.

    Raises:
        UnavailableError: the extra `documents` is not installed.
    """
    bounds = limits or Limits()
    document = read(data, document_type, bounds, told)
    if ocr is None or not document.textless_pages:
        return document
    from aion_dagster.compute.documents.rendering import Renderer

    with Renderer(data) as renderer:
        return read_scans(document, renderer.rgb, ocr, bounds)


def read(
    data: bytes, proposed: DocumentType, limits: Limits, told: Callable[[int], None] = _untold
) -> ExtractedDocument:
    """As `extract`, without reading scans."""
    kind: DocumentType | None = None
    try:
        if len(data) > limits.max_bytes:
            reason = f"the file has {len(data)} bytes, more than max_bytes = {limits.max_bytes}"
            raise ExtractionError("too_large", reason)
        kind = kind_of(data, proposed)
        found = _read_as(kind, data, limits, told)
        if len(found.text) > limits.max_characters:
            reason = f"its text has {len(found.text)} characters, more than {limits.max_characters}"
            raise ExtractionError("too_large", reason)
    except ExtractionError as error:
        return ExtractedDocument(error.status, kind, str(error))
    return replace(found, document_type=kind)


def _read_as(
    kind: DocumentType, data: bytes, limits: Limits, told: Callable[[int], None]
) -> ExtractedDocument:
    if kind == "pdf":
        from aion_dagster.compute.documents.pdf import read_pdf

        return read_pdf(data, limits, told)
    if kind == "docx":
        from aion_dagster.compute.documents.docx import read_docx

        return read_docx(data, limits)
    if kind == "md":
        from aion_dagster.compute.documents.markdown import read_markdown

        return read_markdown(data, limits)
    from aion_dagster.compute.documents.plain_text import read_plain_text

    return read_plain_text(data)
