"""PDF by pypdf: slower, pure Python, and forgiving; the second reader."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    ExtractionError,
    Limits,
    join_pages,
    one_line,
)
from aion_dagster.compute.documents.outline import Bookmark, place_bookmarks
from aion_dagster.compute.documents.pdf_pages import (
    PageCount,
    check_characters,
    check_page_count,
    clean_page,
    judged,
)

_MAX_DEPTH: Final = 15


def read_by_pypdf(data: bytes, limits: Limits, told: PageCount) -> ExtractedDocument:
    """The text of a PDF, as `pdf.read_pdf` gives it.

    Raises:
        ExtractionError: locked, damaged, too many pages, too much text.
    """
    try:
        reader = _open(data)
        count = len(reader.pages)
        check_page_count(count, limits)
        told(count)
        texts, broken, textless = _pages(reader, count, limits)
    except (ExtractionError, MemoryError):
        raise
    except Exception as error:  # pypdf lets whatever damaged files bring about through
        reason = f"damaged or cut off: {type(error).__name__}: {error}"[:300]
        raise ExtractionError("unreadable", reason) from error
    if len(broken) == count:
        raise ExtractionError("unreadable", "damaged or cut off: none of its pages can be read")
    text, pages = join_pages(texts)
    document = ExtractedDocument(
        "completed",
        "pdf",
        engine=f"pypdf-{_version()}",
        text=text,
        pages=pages,
        headings=place_bookmarks(_bookmarks(reader), text, pages, limits.max_headings),
        title=_metadata(reader, "title"),
        author=_metadata(reader, "author"),
        page_count=count,
        textless_pages=tuple(textless),
    )
    return judged(document, broken, cut_off=b"%%EOF" not in data[-2048:])


def _open(data: bytes) -> Any:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    reader = PdfReader(BytesIO(data), strict=False)
    if reader.is_encrypted:
        try:
            opened = reader.decrypt("")
        except DependencyError as error:
            raise ExtractionError("encrypted", f"it is locked: {error}") from error
        if not opened:
            raise ExtractionError("encrypted", "a password is needed to open it")
    return reader


def _pages(reader: Any, count: int, limits: Limits) -> tuple[list[str], list[int], list[int]]:
    texts: list[str] = []
    broken: list[int] = []
    textless: list[int] = []
    characters = 0
    for number, page in zip(range(1, count + 1), reader.pages, strict=False):
        try:
            text = clean_page(page.extract_text())
            if not text and page.get_contents() is not None:
                textless.append(number)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - one damaged page is counted, and named in the reason
            text = ""
            broken.append(number)
        characters += len(text)
        check_characters(characters, limits)
        texts.append(text)
    return texts, broken, textless


def _bookmarks(reader: Any) -> Iterator[Bookmark]:
    try:
        outline = reader.outline
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a damaged outline leaves the text without headings
        return
    yield from _walk(reader, outline, 1)


def _walk(reader: Any, entries: list[Any], level: int) -> Iterator[Bookmark]:
    for entry in entries:
        if isinstance(entry, list):
            if level < _MAX_DEPTH:
                yield from _walk(reader, entry, level + 1)
            continue
        page = reader.get_destination_page_number(entry)
        if page is not None and page >= 0:
            yield Bookmark(level, str(entry.title or ""), page + 1)


def _metadata(reader: Any, key: str) -> str | None:
    try:
        value = getattr(reader.metadata, key, None)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a damaged information dictionary: there is no title then
        return None
    return one_line(value if isinstance(value, str) else None)


def _version() -> str:
    import pypdf

    return str(pypdf.__version__)
