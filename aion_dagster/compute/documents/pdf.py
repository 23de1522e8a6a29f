"""PDF by PDFium: exact pages, headings from the outline, pages without text named."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    ExtractionError,
    Limits,
    join_pages,
    one_line,
)
from aion_dagster.compute.documents.outline import Bookmark, place_bookmarks
from aion_dagster.compute.documents.pdf_by_pypdf import read_by_pypdf
from aion_dagster.compute.documents.pdf_pages import (
    PageCount,
    check_characters,
    check_page_count,
    clean_page,
    judged,
)
from aion_dagster.errors import UnavailableError

_PASSWORD, _SECURITY = 4, 5
"""FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of fpdfview.h."""

_MAX_DEPTH: Final = 15
_EXTRA: Final = "reading PDF needs the extra `documents`: pip install 'aion_dagster[documents]'"


def read_pdf(data: bytes, limits: Limits, told: PageCount) -> ExtractedDocument:
    """The text of a PDF. PDFium reads it; pypdf does where PDFium is missing or cannot open the file.

    Raises:
        ExtractionError: locked, damaged beyond reading, too many pages, too much text.
        UnavailableError: neither library is installed.
    """
    if importlib.util.find_spec("pypdfium2") is None:
        if importlib.util.find_spec("pypdf") is None:
            raise UnavailableError(_EXTRA)
        return read_by_pypdf(data, limits, told)
    try:
        return _read_by_pdfium(data, limits, told)
    except ExtractionError as first:
        if first.status != "unreadable" or importlib.util.find_spec("pypdf") is None:
            raise
        try:
            return read_by_pypdf(data, limits, told)
        except ExtractionError as second:
            if second.status == "unreadable":
                raise first from second
            raise


class _Read(NamedTuple):
    texts: list[str]
    broken: list[int]
    textless: list[int]


def _read_by_pdfium(data: bytes, limits: Limits, told: PageCount) -> ExtractedDocument:
    pdf = open_pdf(data)
    try:
        count = len(pdf)
        check_page_count(count, limits)
        told(count)
        read = _pages(pdf, count, limits)
        if len(read.broken) == count:
            raise ExtractionError("unreadable", "none of its pages can be read")
        text, pages = join_pages(read.texts)
        document = ExtractedDocument(
            "completed",
            "pdf",
            engine=f"pypdfium2-{_version()}",
            text=text,
            pages=pages,
            headings=place_bookmarks(_bookmarks(pdf), text, pages, limits.max_headings),
            title=_metadata(pdf, "Title"),
            author=_metadata(pdf, "Author"),
            page_count=count,
            textless_pages=tuple(read.textless),
        )
    finally:
        pdf.close()
    return judged(document, read.broken, cut_off=b"%%EOF" not in data[-2048:])


def open_pdf(data: bytes) -> Any:
    """A `pypdfium2.PdfDocument`, to be closed by the caller.

    Raises:
        ExtractionError: `encrypted` or `unreadable`.
    """
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            raise ExtractionError("encrypted", "a password is needed to open it") from error
        if error.err_code == _SECURITY:
            reason = "it is locked in a way that PDFium does not know"
            raise ExtractionError("encrypted", reason) from error
        reason = "damaged or cut off: PDFium finds no pages in it"
        raise ExtractionError("unreadable", reason) from error


def _pages(pdf: Any, count: int, limits: Limits) -> _Read:
    import pypdfium2

    read = _Read([], [], [])
    characters = 0
    for index in range(count):
        try:
            page = pdf[index]
        except pypdfium2.PdfiumError:
            read.broken.append(index + 1)
            read.texts.append("")
            continue
        text = _text(page)
        if not text and pypdfium2.raw.FPDFPage_CountObjects(page) > 0:
            read.textless.append(index + 1)
        page.close()
        characters += len(text)
        check_characters(characters, limits)
        read.texts.append(text)
    return read


def _text(page: Any) -> str:
    import pypdfium2

    try:
        reader = page.get_textpage()
    except pypdfium2.PdfiumError:
        return ""
    try:
        return clean_page(reader.get_text_range())
    finally:
        reader.close()


def _bookmarks(pdf: Any) -> Iterator[Bookmark]:
    """Outline entries in reading order; PDFium's walk stops at cycles, depth is bounded."""
    for mark in pdf.get_toc(max_depth=_MAX_DEPTH):
        target = mark.get_dest()
        index = target.get_index() if target is not None else None
        if index is not None:
            yield Bookmark(mark.level + 1, _title(mark), index + 1)


def _title(mark: Any) -> str:
    """A bookmark's title; pypdfium2's own accessor raises on lone surrogates."""
    import pypdfium2

    size = pypdfium2.raw.FPDFBookmark_GetTitle(mark, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pypdfium2.raw.FPDFBookmark_GetTitle(mark, buffer, size)
    return buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace")


def _metadata(pdf: Any, key: str) -> str | None:
    import pypdfium2

    size = pypdfium2.raw.FPDF_GetMetaText(pdf, key.encode(), None, 0)
    buffer = ctypes.create_string_buffer(size)
    pypdfium2.raw.FPDF_GetMetaText(pdf, key.encode(), buffer, size)
    return one_line(buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace"))


def _version() -> str:
    import pypdfium2

    return str(pypdfium2.version.PYPDFIUM_INFO.version)
