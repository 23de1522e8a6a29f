"""PDF: exact pages, headings from the outline, and a reason where there is no text."""

import re
import sys
from dataclasses import replace

import pytest
from document_files import PICTURE, PdfFile, encrypted, page_content, pdf, prose

from aion_dagster.compute.documents.chunks import ChunkSettings, chunk
from aion_dagster.compute.documents.document import Limits
from aion_dagster.compute.documents.extract import extract
from aion_dagster.compute.documents.pdf_by_pypdf import read_by_pypdf
from aion_dagster.compute.documents.tokens import word_offsets
from aion_dagster.errors import UnavailableError

PYPDF = "pypdf"


def read(data, **limits):
    return extract(data, document_type="pdf", limits=Limits(**limits))


def numbered(pages, words=120):
    """Every line of every page begins with the page's number."""
    return pdf(
        [[f"p{n}p {line}" for line in prose(n, words)] for n in range(1, pages + 1)], fanout=8
    )


def test_every_chunk_names_exactly_the_pages_of_its_characters():
    document = read(numbered(100))
    assert document.page_count == 100
    seen = set()
    for piece in chunk(document, word_offsets, ChunkSettings()):
        said = {int(n) for n in re.findall(r"p(\d+)p", piece.content)}
        # A piece may begin within a line; the rest of that line is on the page of the piece's first character.
        assert said <= set(piece.page_numbers)
        assert list(piece.page_numbers) == document.pages_of(piece.start, piece.end)
        for number in piece.page_numbers:
            page = document.pages[number - 1]
            inside = document.text[max(page.start, piece.start) : min(page.end, piece.end)]
            assert inside.strip()
            assert {int(n) for n in re.findall(r"p(\d+)p", inside)} <= {number}
        seen |= said
    assert seen == set(range(1, 101))


def test_both_readers_find_the_same_words_on_the_same_pages():
    data = numbered(7)
    first, second = read(data), read_by_pypdf(data, Limits(), lambda _: None)
    assert second.engine.startswith(PYPDF)
    assert [first.text[p.start : p.end].split() for p in first.pages] == [
        second.text[p.start : p.end].split() for p in second.pages
    ]


def test_headings_come_from_the_outline_and_begin_where_their_title_stands():
    pages = [
        ["1 Light", "first words", "1.1 Colour of walls", "more words"],
        ["even more", "2 Shade", "the end"],
    ]
    outline = [(1, "Light", 1), (2, "colour of  walls", 1), (1, "2 Shade", 2), (2, "Not there", 2)]
    document = read(pdf(pages, outline=outline, title="Räume", author="A. N. Other"))
    assert (document.title, document.author) == ("Räume", "A. N. Other")
    assert [(h.level, h.title) for h in document.headings] == [
        (1, "Light"),
        (2, "colour of walls"),
        (2, "Not there"),
        (1, "2 Shade"),
    ]
    begins = [document.text[h.start :].split("\n")[0] for h in document.headings]
    assert begins == ["1 Light", "1.1 Colour of walls", "even more", "2 Shade"]


def test_pypdf_reads_the_outline_too():
    data = pdf([["One"], ["Two"]], outline=[(1, "One", 1), (2, "Two", 2)])
    document = read_by_pypdf(data, Limits(), lambda _: None)
    assert [(h.level, h.title) for h in document.headings] == [(1, "One"), (2, "Two")]


def test_an_empty_page_keeps_its_number():
    document = read(pdf([["one"], b"", ["three"]]))
    assert [(p.number, document.text[p.start : p.end]) for p in document.pages] == [
        (1, "one"),
        (2, ""),
        (3, "three"),
    ]
    assert document.reason is None
    assert document.pages_of(0, len(document.text)) == [1, 3]


def test_scanned_pages_are_named():
    document = read(pdf([["one"], PICTURE, PICTURE, ["four"]]))
    assert document.status == "completed"
    assert document.textless_pages == (2, 3)
    assert document.reason == "pages that show something but hold no text: 2–3"


def test_a_scan_has_no_text_and_says_so():
    document = read(pdf([PICTURE] * 3))
    assert (document.status, document.page_count, document.text) == ("no_text", 3, "")
    assert "none of its 3 pages holds text" in document.reason


def test_scanned_pages_are_read_where_something_can_read_them():
    shapes = []

    def read_page(rgb):
        shapes.append(rgb.shape)
        assert str(rgb.dtype) == "uint8"
        return f"words of scan {len(shapes)}"

    data = pdf(
        [["Intro"], PICTURE, ["Outro", "End"], PICTURE], outline=[(1, "Intro", 1), (1, "End", 3)]
    )
    document = extract(data, document_type="pdf", ocr=read_page)
    assert shapes == [(2000, 1414, 3)] * 2
    assert document.text == "Intro\n\nwords of scan 1\n\nOutro\nEnd\n\nwords of scan 2"
    assert [document.text[h.start :][:3] for h in document.headings] == ["Int", "End"]
    assert (document.status, document.textless_pages) == ("completed", ())
    assert document.reason == "text recognised on pages 2, 4"


def test_a_scan_on_which_nothing_is_recognised_stays_without_text():
    document = extract(pdf([PICTURE]), document_type="pdf", ocr=lambda _: " ")
    assert (document.status, document.text) == ("no_text", "")
    assert "no text was recognised: 1" in document.reason


def test_blank_pages_are_not_called_a_scan():
    document = read(pdf([b"", b""]))
    assert (document.status, document.reason) == ("no_text", "its pages are blank")


def test_a_locked_file_is_encrypted_and_one_without_user_password_is_read():
    data = pdf([["secret words"]])
    assert read(encrypted(data, "geheim")).status == "encrypted"
    assert read(encrypted(data, "")).text == "secret words"


@pytest.mark.parametrize("keep", [5, 20, 60, 400])
def test_what_is_cut_off_before_its_first_page_is_unreadable(keep):
    document = read(pdf([["words"]], packed=False)[:keep])
    assert document.status == "unreadable"
    assert document.reason


def test_a_file_that_is_cut_off_is_unreadable_unless_its_trailer_is_there():
    data = numbered(20)
    assert read(data[:-300]).status == "unreadable"
    document = read(data[: data.rindex(b"startxref")])
    assert document.status == "completed"
    assert "cut off" in document.reason


def test_garbage_and_nothing():
    assert read(b"").status == "empty"
    assert read(bytes(range(256)) * 40).status == "unreadable"
    assert read(b"%PDF-1.7\n" + b"\x00garbage" * 50).status == "unreadable"


def test_content_decides_and_the_name_only_proposes():
    data = pdf([["words"]])
    assert extract(data, document_type="docx").document_type == "pdf"
    assert extract(data, document_type="txt").text == "words"
    jpeg = extract(b"\xff\xd8\xff\xe0" + bytes(100), document_type="pdf")
    assert (jpeg.status, jpeg.document_type) == ("unsupported", None)
    assert "JPEG" in jpeg.reason


def test_five_thousand_pages_are_read_and_more_than_the_limit_are_refused_before_reading():
    data = pdf([[f"page {n}"] for n in range(1, 5001)], fanout=32, packed=False)
    document = read(data)
    assert (document.status, document.page_count) == ("completed", 5000)
    texts = [document.text[p.start : p.end] for p in document.pages]
    assert texts == [f"page {n}" for n in range(1, 5001)]
    refused = read(data, max_pages=4999)
    assert refused.status == "too_many_pages"
    assert "5000 pages" in refused.reason


def test_too_much_text_and_too_many_bytes_are_too_large():
    data = numbered(5)
    assert read(data, max_characters=1000).status == "too_large"
    assert read(data, max_bytes=1000).status == "too_large"


def cyclic_pages():
    file = PdfFile()
    root, top, inner = file.add(b""), file.add(b""), file.add(b"")
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R >>" % top
    for node, other in ((top, inner), (inner, top)):
        file.objects[node] = b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R %d 0 R] /Count 9 >>" % (
            other,
            other,
            node,
        )
    return file.bytes(root)


def cyclic_outline():
    data = pdf([["words"]], outline=[(1, "A", 1), (1, "B", 1)])
    found = re.search(rb"/Prev (\d+) 0 R", data)
    return data.replace(b"/Prev " + found[1], b"/Next " + found[1])


def test_cyclic_page_trees_and_outlines_end():
    assert read(cyclic_pages()).status in ("unreadable", "no_text")
    document = read(cyclic_outline())
    assert (document.status, document.text) == ("completed", "words")


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deeply_nested_objects_end(depth):
    file = PdfFile()
    root, top, page = file.add(b""), file.add(b""), file.add(b"")
    nested = b"[" * depth + b"]" * depth
    content = file.stream(page_content(["words"]))
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R /Deep %b >>" % (top, nested)
    file.objects[top] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    file.objects[page] = b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R >>" % (top, content)
    assert read(file.bytes(root)).status in ("completed", "unreadable", "no_text")


def test_what_fonts_spell_oddly_can_be_stored():
    """Lone surrogates and control characters of a ToUnicode map would not go into a table."""
    file = PdfFile()
    root, top, page = file.add(b""), file.add(b""), file.add(b"")
    mapping = file.stream(
        b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange 4 beginbfchar <41> <D83D>"
        b" <42> <0001> <43> <D83DDE00> <44> <0058> endbfchar endcmap"
    )
    font = file.add(
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode %d 0 R >>" % mapping
    )
    content = file.stream(b"BT /F1 11 Tf 50 800 Td (DABCD) Tj ET")
    file.objects[root] = b"<< /Type /Catalog /Pages %d 0 R >>" % top
    file.objects[top] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
    file.objects[page] = (
        b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R /MediaBox [0 0 595 842]"
        b" /Resources << /Font << /F1 %d 0 R >> >> >>" % (top, content, font)
    )
    text = read(file.bytes(root)).text
    assert text.encode("utf-8")
    assert text[0] == text[-1] == "X"
    assert "\x01" not in text


def test_words_divided_at_line_ends_are_joined():
    document = read(pdf([["an exam-", "ple of a Berlin-", "Mitte map"]]))
    assert document.text == "an example of a Berlin-Mitte map"


def test_without_pdfium_pypdf_reads_and_without_both_the_way_out_is_named(monkeypatch):
    data = pdf([["words"]])
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    assert read(data).engine.startswith(PYPDF)
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(UnavailableError, match=r"aion_dagster\[documents\]"):
        read(data)


def test_a_document_is_a_value():
    data = pdf([["words"]])
    assert read(data) == read(data)
    assert replace(read(data), title="x").title == "x"
