"""DOCX by python-docx: paragraphs, headings, lists, tables, text boxes and notes in reading order. It has no pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from aion_dagster.compute.documents.document import (
    ExtractedDocument,
    ExtractionError,
    Heading,
    Limits,
    one_line,
    printable,
)
from aion_dagster.compute.documents.docx_package import safe_package
from aion_dagster.errors import UnavailableError

_EXTRA: Final = "reading DOCX needs the extra `documents`: pip install 'aion_dagster[documents]'"
_CELLS: Final = " | "
_NOTES: Final = ("/footnotes", "/endnotes")
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def read_docx(data: bytes, limits: Limits) -> ExtractedDocument:
    """The text of a DOCX: paragraphs apart by an empty line, list items with their marks, table rows by line.

    Headings come from the styles (Heading 1 to 9, what is based on them, outline levels); deleted text, headers and
    footers are left out; footnotes and endnotes stand at the end.

    Raises:
        ExtractionError: locked, damaged, a bomb, or too much text.
        UnavailableError: python-docx is not installed.
    """
    try:
        import docx
    except ImportError as error:
        raise UnavailableError(_EXTRA) from error
    package = safe_package(data, limits)
    try:
        document = docx.Document(BytesIO(package))
        text = _Text(document, limits)
        text.read()
        title, author = _properties(document)
    except (ExtractionError, MemoryError):
        raise
    except Exception as error:  # python-docx lets whatever damaged parts bring about through
        reason = f"damaged: {type(error).__name__}: {error}"[:300]
        raise ExtractionError("unreadable", reason) from error
    engine = f"python-docx-{docx.__version__}"
    whole = "".join(text.parts)
    if not whole:
        return ExtractedDocument("no_text", "docx", "it holds no text", engine)
    return ExtractedDocument(
        "completed",
        "docx",
        None,
        engine,
        whole,
        headings=tuple(text.headings),
        title=title or text.title,
        author=author,
    )


def _properties(document: Any) -> tuple[str | None, str | None]:
    """Title and author; a package without that part gets a made-up one from python-docx, which is not asked for."""
    if not any(r.reltype.endswith("/core-properties") for r in document.part.package.rels.values()):
        return None, None
    return one_line(document.core_properties.title), one_line(document.core_properties.author)


@dataclass
class _Text:
    """The text as it grows."""

    document: Any
    limits: Limits
    parts: list[str] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    title: str | None = None
    _length: int = 0
    _in_list: bool = False

    def read(self) -> None:
        from docx.oxml.ns import qn

        from aion_dagster.compute.documents.docx_styles import Lists, Styles

        part = self.document.part
        self._styles = Styles.of(_related(part, "/styles"))
        self._lists = Lists.of(_related(part, "/numbering"))
        body = self.document.element.body
        _untangle(body)
        self._blocks(body)
        for kind in _NOTES:
            root = _related(part, kind)
            for note in () if root is None else list(root):
                if note.get(qn("w:type")) is None:  # separators have a type
                    _untangle(note)
                    self._blocks(note)

    def _blocks(self, parent: Any) -> None:
        from docx.oxml.ns import qn

        paragraph, table = qn("w:p"), qn("w:tbl")
        for block in _flat(parent):
            if block.tag == paragraph:
                self._paragraph(block)
            elif block.tag == table:
                rows = (_CELLS.join(_cells(row)) for row in block.iter(qn("w:tr")))
                self._add("\n".join(r for r in rows if r.replace("|", "").strip()), in_list=False)

    def _paragraph(self, paragraph: Any) -> None:
        from aion_dagster.compute.documents.docx_styles import outline_level, value

        text = _paragraph_text(paragraph).strip()
        if not text:
            return
        style = value(paragraph, "w:pPr/w:pStyle") or ""
        level = outline_level(value(paragraph, "w:pPr/w:outlineLvl")) or self._styles.levels.get(
            style
        )
        number, depth = self._styles.numbering.get(style, ("0", "0"))
        number = value(paragraph, "w:pPr/w:numPr/w:numId") or number
        depth = value(paragraph, "w:pPr/w:numPr/w:ilvl") or depth
        mark = self._lists.mark(number, depth) if level is None else None
        start = self._add((mark or "") + text, in_list=mark is not None)
        if level is not None and len(self.headings) < self.limits.max_headings:
            self.headings.append(Heading(level, one_line(text) or text, start))
        if style in self._styles.titles and self.title is None:
            self.title = one_line(text)

    def _add(self, text: str, *, in_list: bool) -> int:
        """Append a block; returns where it begins."""
        if text:
            gap = ("\n" if in_list and self._in_list else "\n\n") if self.parts else ""
            self.parts += (gap, text)
            self._length += len(gap) + len(text)
            self._in_list = in_list
        if self._length > self.limits.max_characters:
            reason = f"its text has more than max_characters = {self.limits.max_characters}"
            raise ExtractionError("too_large", reason)
        return self._length - len(text)


def _related(part: Any, kind: str) -> Any | None:
    """The root element of the part that a relationship of this kind leads to."""
    from docx.oxml.parser import parse_xml

    for relation in part.rels.values():
        if relation.reltype.endswith(kind) and not relation.is_external:
            target = relation.target_part
            element = getattr(target, "element", None)
            return element if element is not None else parse_xml(target.blob)
    return None


def _untangle(root: Any) -> None:
    """Take out what is said twice (fallbacks) or no longer (moved away), and put text boxes behind their paragraph."""
    from docx.oxml.ns import qn

    for element in [*root.iter(_FALLBACK), *root.iter(qn("w:moveFrom"))]:
        if element.getparent() is not None:
            element.getparent().remove(element)
    for box in list(root.iter(qn("w:txbxContent"))):
        holder = next(box.iterancestors(qn("w:p")), None)
        if holder is not None:
            box.getparent().remove(box)
            holder.addnext(box)


def _flat(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables below `parent` in order, out of content controls, text boxes and insertions."""
    from docx.oxml.ns import qn

    blocks = (qn("w:p"), qn("w:tbl"))
    waiting = [iter(list(parent))]
    while waiting:
        for child in waiting[-1]:
            if child.tag in blocks:
                yield child
            elif isinstance(child.tag, str):
                waiting.append(iter(list(child)))
                break
        else:
            waiting.pop()


def _cells(row: Any) -> list[str]:
    """Texts of a row's own cells on one line each; cells that go on from the row above are empty."""
    from docx.oxml.ns import qn

    texts = []
    for cell in row.iterchildren(qn("w:tc"), qn("w:sdt")):
        merged = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
        if merged is not None and merged.get(qn("w:val")) != "restart":
            texts.append("")
            continue
        inner = set(cell.iter(qn("w:tbl")))
        own = (p for p in cell.iter(qn("w:p")) if not inner or not _within(p, inner))
        texts.append(" ".join(" ".join(_paragraph_text(p) for p in own).split()))
    return texts


def _within(paragraph: Any, tables: set[Any]) -> bool:
    return any(a in tables for a in paragraph.iterancestors())


def _paragraph_text(paragraph: Any) -> str:
    from docx.oxml.ns import qn

    words, tab, stop, hyphen = (
        qn("w:t"),
        qn("w:tab"),
        (qn("w:br"), qn("w:cr")),
        qn("w:noBreakHyphen"),
    )
    parts = []
    for node in paragraph.iter(words, tab, *stop, hyphen):
        if node.tag == words:
            parts.append(node.text or "")
        elif node.tag == tab:
            parts.append("" if node.getparent().tag == qn("w:tabs") else "\t")
        else:
            parts.append("-" if node.tag == hyphen else "\n")
    return printable("".join(parts)).replace("\f", "\n")
