"""Writers of small PDF and DOCX files for tests."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from io import BytesIO

LINE = 14
PROSE = (
    "the vision of a library begins with light and ends where every picture can be found again by what it shows "
    "because someone wrote down its colours its places and the names of things that stand in it"
)
WORDS = PROSE.split()


def sentence(rng: random.Random) -> str:
    words = [rng.choice(WORDS) for _ in range(rng.randint(6, 18))]
    return " ".join([words[0].capitalize(), *words[1:]]) + "."


def prose(seed: int, words: int) -> list[str]:
    """Lines of about twelve words."""
    rng = random.Random(seed)
    flow: list[str] = []
    while len(flow) < words:
        flow += sentence(rng).split()
    flow = flow[:words]
    return [" ".join(flow[i : i + 12]) for i in range(0, len(flow), 12)]


def _escaped(text: str) -> bytes:
    raw = text.encode("cp1252", "replace")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _string(text: str) -> bytes:
    return b"<" + (b"\xfe\xff" + text.encode("utf-16-be")).hex().encode() + b">"


class PdfFile:
    """Numbered objects and the file they make."""

    def __init__(self) -> None:
        self.objects: dict[int, bytes] = {}

    def add(self, body: bytes, number: int | None = None) -> int:
        number = number or max(self.objects, default=0) + 1
        self.objects[number] = body
        return number

    def stream(self, data: bytes, entries: bytes = b"", *, packed: bool = True) -> int:
        if packed:
            data, entries = zlib.compress(data), entries + b"/Filter /FlateDecode "
        head = b"<< %b/Length %d >>\nstream\n" % (entries, len(data))
        return self.add(head + data + b"\nendstream")

    def bytes(self, root: int, info: int | None = None) -> bytes:
        out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        places = {}
        for number, body in sorted(self.objects.items()):
            places[number] = len(out)
            out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        start, count = len(out), max(places) + 1
        out += b"xref\n0 %d\n0000000000 65535 f \n" % count
        for number in range(1, count):
            out += b"%010d 00000 n \n" % places.get(number, 0)
        extra = b" /Info %d 0 R" % info if info else b""
        out += b"trailer\n<< /Size %d /Root %d 0 R%b >>\n" % (count, root, extra)
        return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def page_content(lines: Sequence[str]) -> bytes:
    shown = b"\n".join(b"(%b) Tj T*" % _escaped(line) for line in lines)
    return b"BT /F1 11 Tf %d TL 50 800 Td\n%b\nET" % (LINE, shown)


PICTURE = b"q 300 0 0 300 100 300 cm BI /W 2 /H 2 /BPC 8 /CS /RGB ID " + bytes(range(12)) + b" EI Q"
"""Content of a page that shows a picture and no text."""


def pdf(
    pages: Sequence[Sequence[str] | bytes],
    *,
    outline: Sequence[tuple[int, str, int]] = (),
    title: str = "",
    author: str = "",
    fanout: int = 0,
    packed: bool = True,
) -> bytes:
    """A PDF with a page for each list of lines (or raw content); `outline` has (level, title, page from 1).

    `fanout` arranges the pages as a tree with so many children a node.
    """
    file = PdfFile()
    root, top = file.add(b""), file.add(b"")
    font = file.add(
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    )
    leaves = []
    for page in pages:
        content = page if isinstance(page, bytes) else page_content(page)
        leaves.append(file.add(b"%d" % file.stream(content, packed=packed)))
    parents = _page_tree(file, leaves, top, fanout)
    for leaf in leaves:
        file.objects[leaf] = (
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %b 0 R"
            b" /Resources << /Font << /F1 %d 0 R >> >> >>"
            % (parents[leaf], file.objects[leaf], font)
        )
    marks = b" /Outlines %d 0 R" % _outline(file, outline, leaves) if outline else b""
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R%b >>" % (top, marks)
    info = None
    if title or author:
        info = file.add(b"<< /Title %b /Author %b >>" % (_string(title), _string(author)))
    return file.bytes(root, info)


def _page_tree(file: PdfFile, leaves: list[int], top: int, fanout: int) -> dict[int, int]:
    parents: dict[int, int] = {}
    level = [(leaf, 1) for leaf in leaves]
    while fanout and len(level) > fanout:
        grouped = []
        for i in range(0, len(level), fanout):
            kids = level[i : i + fanout]
            node, count = file.add(b""), sum(c for _, c in kids)
            file.objects[node] = _node(kids, count)
            parents |= {kid: node for kid, _ in kids}
            grouped.append((node, count))
        level = grouped
    file.objects[top] = _node(level, len(leaves))
    parents |= {kid: top for kid, _ in level}
    for node, parent in parents.items():
        body = file.objects[node]
        if body.startswith(b"<< /Type /Pages"):
            file.objects[node] = body[:-2] + b"/Parent %d 0 R >>" % parent
    return parents


def _node(kids: list[tuple[int, int]], count: int) -> bytes:
    references = b" ".join(b"%d 0 R" % kid for kid, _ in kids)
    return b"<< /Type /Pages /Kids [%b] /Count %d >>" % (references, count)


def _outline(file: PdfFile, entries: Sequence[tuple[int, str, int]], leaves: list[int]) -> int:
    root = file.add(b"")
    children: dict[int, list[int]] = {root: []}
    facts: dict[int, bytes] = {}
    stack = [(0, root)]
    for level, title, page in entries:
        while stack[-1][0] >= level:
            stack.pop()
        item = file.add(b"")
        parent = stack[-1][1]
        children[parent].append(item)
        children[item] = []
        facts[item] = b"/Title %b /Parent %d 0 R /Dest [%d 0 R /Fit]" % (
            _string(title),
            parent,
            leaves[page - 1],
        )
        stack.append((level, item))
    for parent, items in children.items():
        for i, item in enumerate(items):
            before = b" /Prev %d 0 R" % items[i - 1] if i else b""
            after = b" /Next %d 0 R" % items[i + 1] if i + 1 < len(items) else b""
            facts[item] += before + after
        if items:
            span = b" /First %d 0 R /Last %d 0 R /Count %d" % (items[0], items[-1], len(items))
            facts[parent] = facts.get(parent, b"/Type /Outlines") + span
    for item, body in facts.items():
        file.objects[item] = b"<< %b >>" % body
    return root


def encrypted(data: bytes, password: str) -> bytes:
    """The PDF locked by a user password."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def docx_bytes(document: object) -> bytes:
    """A python-docx document as a file."""
    out = BytesIO()
    document.save(out)  # type: ignore[attr-defined]
    return out.getvalue()
