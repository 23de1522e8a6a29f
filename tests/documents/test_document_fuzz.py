"""Damaged and hostile PDF and DOCX files: each ends in a row, within ten seconds and a gibibyte."""

import io
import os
import random
import re
import time
import zipfile
import zlib

import docx
import pytest
from document_files import PICTURE, PdfFile, docx_bytes, page_content, pdf, prose
from docx.enum.style import WD_STYLE_TYPE

from aion_dagster.compute.documents.chunks import ChunkSettings, chunk
from aion_dagster.compute.documents.document import STATUSES
from aion_dagster.compute.documents.reader import DocumentReader
from aion_dagster.compute.documents.tokens import word_offsets

MUTATIONS = {"test": 150, "soak": 10_000 // 6}[os.environ.get("AION_TEST_TIER", "test")]
"""Of each of the two formats."""

MOST_SECONDS = 10.0
MOST_BYTES = 2**30


def pdf_seeds():
    pages = [prose(1, 60), PICTURE, prose(2, 40)]
    outline = [(1, "One", 1), (2, "Two", 2), (1, "Three", 3)]
    facts = {"outline": outline, "title": "Seed", "author": "Nobody", "fanout": 2}
    return [pdf(pages, **facts), pdf(pages, packed=False, **facts), object_streams()]


def object_streams():
    """A PDF 1.5 file: objects in a stream, cross-references in another."""
    inner = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
    inner.append(b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R /MediaBox [0 0 595 842] >>")
    places, body = [], b""
    for number, item in enumerate(inner, 1):
        places.append(b"%d %d" % (number, len(body)))
        body += item + b" "
    head = b" ".join(places) + b" "
    packed = zlib.compress(head + body)
    file = bytearray(b"%PDF-1.5\n")
    at = {4: len(file)}
    file += (
        b"4 0 obj\n<< /Type /ObjStm /N 3 /First %d /Filter /FlateDecode /Length %d >>\nstream\n"
        % (
            len(head),
            len(packed),
        )
    )
    file += packed + b"\nendstream\nendobj\n"
    at[5] = len(file)
    content = page_content(["words"])
    file += b"5 0 obj\n<< /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (len(content), content)
    at[6] = len(file)
    rows = [
        (0, 0, 255),
        (2, 4, 0),
        (2, 4, 1),
        (2, 4, 2),
        (1, at[4], 0),
        (1, at[5], 0),
        (1, at[6], 0),
    ]
    table = zlib.compress(
        b"".join(bytes([k]) + a.to_bytes(3, "big") + bytes([b]) for k, a, b in rows)
    )
    file += (
        b"6 0 obj\n<< /Type /XRef /Size 7 /W [1 3 1] /Root 1 0 R /Filter /FlateDecode /Length %d >>\n"
        b"stream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(table), table, at[6])
    )
    return bytes(file)


def docx_seeds():
    document = docx.Document()
    document.core_properties.title = "Seed"
    document.add_heading("One", 1)
    document.add_paragraph(" ".join(prose(1, 60)))
    document.add_paragraph("item", style="List Number")
    document.add_table(2, 2).cell(0, 0).text = "cell"
    own = document.styles.add_style("Own", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 2"]
    document.add_paragraph("Two", style="Own")
    whole = docx_bytes(document)
    plain = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(plain, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return [whole, plain.getvalue()]


def bits(data, rng):
    out = bytearray(data)
    for _ in range(rng.choice((1, 4, 32, 200))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(data, rng):
    return data[: rng.randrange(len(data))]


def splice(data, rng):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    c = rng.randrange(len(data))
    return data[:c] + data[a:b] + data[c:]


def removed(data, rng):
    a = rng.randrange(len(data))
    return data[:a] + data[a + rng.randrange(1, 400) :]


def repeated(data, rng):
    a = rng.randrange(len(data))
    piece = data[a : a + rng.randrange(1, 200)]
    return data[:a] + piece * rng.choice((2, 10, 500)) + data[a:]


def numbers(data, rng):
    """Lengths, counts, object numbers and offsets become others."""
    found = list(re.finditer(rb"\d+", data))
    out = data
    for match in sorted(
        rng.sample(found, min(len(found), rng.choice((1, 3, 10)))), key=lambda m: -m.start()
    ):
        value = rng.choice(
            (b"0", b"1", b"3", b"-1", b"65536", b"2147483647", b"4294967296", b"9" * 30)
        )
        out = out[: match.start()] + value + out[match.end() :]
    return out


def fields(data, rng):
    """A 16 or 32 bit length of the archive becomes another."""
    marks = [m.start() for m in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 6))):
        at = rng.choice(marks) + rng.randrange(4, 46, 2)
        value = rng.choice((0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, len(data), rng.randrange(2**32)))
        size = rng.choice((2, 4))
        out[at : at + size] = (value & (2 ** (8 * size) - 1)).to_bytes(size, "little")
    return bytes(out)


def nested(data, rng):
    """Brackets within brackets, where an object begins."""
    begin, end = rng.choice(((b"[", b"]"), (b"<</A ", b">>"), (b"(", b")"), (b"<</Kids[", b"]>>")))
    depth = rng.choice((50, 600, 60_000))
    places = [
        m.end() for m in re.finditer(rb"obj\n|/Title |/Kids |/Contents |/Resources ", data)
    ] or [0]
    at = rng.choice(places)
    return data[:at] + begin * depth + (end * depth if rng.random() < 0.7 else b"") + data[at:]


def cyclic(data, rng):
    """References that lead to any object, its own ancestors among them."""
    found = list(re.finditer(rb"(\d+) 0 R", data))
    most = max((int(m[1]) for m in found), default=1)
    out = data
    for match in sorted(
        rng.sample(found, min(len(found), rng.choice((1, 4, 20)))), key=lambda m: -m.start()
    ):
        out = out[: match.start()] + b"%d 0 R" % rng.randint(1, most) + out[match.end() :]
    return out


def page_dag(_data, rng):
    """Nodes that name the same child many times, level below level: exponentially many pages."""
    file = PdfFile()
    root, top = file.add(b""), file.add(b"")
    levels = [top, *(file.add(b"") for _ in range(rng.randint(2, 40)))]
    leaf = file.add(b"<< /Type /Page /MediaBox [0 0 9 9] >>")
    for level, below in zip(levels, [*levels[1:], leaf], strict=True):
        kids = b"%d 0 R " % below * rng.choice((2, 10))
        count = rng.choice((2, 1000, 10**6, 2**31 - 1))
        file.objects[level] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, count)
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R >>" % top
    return file.bytes(root)


def inflated(_data, rng):
    """A content stream that unpacks to a thousand times its size and more."""
    file = PdfFile()
    root, top, page = file.add(b""), file.add(b""), file.add(b"")
    text = rng.choice((b"(a) Tj ", b"q ", b"[(a)(b)] TJ T* ", b"\x00")) * 2 ** rng.randint(10, 22)
    packed = zlib.compress(zlib.compress(text, 9), 9)
    body = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(packed)
    content = file.add(body + packed + b"\nendstream")
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R >>" % top
    file.objects[top] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    file.objects[page] = b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R >>" % (top, content)
    return file.bytes(root)


def xml(data, rng):
    """A part of the archive is damaged, and packed again without fault."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        names = old.namelist()
        hit = rng.choice([n for n in names if n.endswith((".xml", ".rels"))])
        change = rng.choice((bits, cut, splice, removed, repeated, numbers, tags, entities))
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for name in names:
                content = old.read(name)
                new.writestr(name, change(content, rng) if name == hit else content)
    return out.getvalue()


def tags(content, rng):
    """Elements within elements."""
    found = re.findall(rb"<(w:[a-zA-Z]+)[ >]", content) or [b"w:p"]
    tag, depth = rng.choice(found), rng.choice((10, 200, 5000))
    at = content.find(b"<w:", rng.randrange(len(content)))
    return content[:at] + b"<%b>" % tag * depth + b"</%b>" % tag * depth + content[at:]


def entities(content, rng):
    """Entities made of entities."""
    lines = [b'<!ENTITY a0 "lol">']
    lines += [
        b'<!ENTITY a%d "%b">' % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, rng.randint(3, 12))
    ]
    head, mark, rest = content.partition(b"?>")
    bomb = b"<!DOCTYPE x [" + b"".join(lines) + b"]>"
    return head + mark + bomb + rest.replace(b"</w:t>", b"&a2;</w:t>")


FORMATS = {
    "pdf": (
        pdf_seeds,
        (bits, cut, splice, removed, repeated, numbers, nested, cyclic, page_dag, inflated),
    ),
    "docx": (docx_seeds, (bits, cut, splice, removed, repeated, fields, xml, xml, xml)),
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_mutation_is_a_row_within_time_and_memory(kind):
    make, changes = FORMATS[kind]
    seeds = make()
    statuses = {}
    longest = 0.0
    with DocumentReader() as reader:
        for seed in seeds:
            reader.start()
            assert reader.extract(seed, document_type=kind).status == "completed"
        for number in range(MUTATIONS):
            rng = random.Random(f"{kind}-{number}")
            data = rng.choice(changes)(rng.choice(seeds), rng)
            begun = time.monotonic()
            found = reader.extract(data, document_type=kind)
            longest = max(longest, time.monotonic() - begun)
            assert found.status in STATUSES
            assert found.reason or found.status == "completed"
            pieces = list(chunk(found, word_offsets, ChunkSettings()))
            assert bool(pieces) == (found.status == "completed")
            statuses[found.status] = statuses.get(found.status, 0) + 1
        assert longest <= MOST_SECONDS, longest
    assert reader.peak_bytes <= MOST_BYTES
    assert sum(statuses.values()) == MUTATIONS
    print(
        f"{kind}: {statuses}, longest {longest:.2f} s, {reader.peak_bytes >> 20} MiB, {reader.restarts} restarts"
    )
