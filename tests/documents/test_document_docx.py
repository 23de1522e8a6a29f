"""DOCX: paragraphs, headings by style, lists, tables and notes in order; bombs refused."""

import io
import re
import sys
import zipfile

import docx
import pytest
from document_files import docx_bytes
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn

from aion_dagster.compute.documents.document import Limits
from aion_dagster.compute.documents.extract import extract
from aion_dagster.errors import UnavailableError


def read(data, **limits):
    return extract(data, document_type="docx", limits=Limits(**limits))


def rewritten(data, change, *, add=()):
    """The archive with each member's bytes changed by `change(name, bytes)`."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in add:
            new.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def plain():
    document = docx.Document()
    document.add_paragraph("Some words.")
    return docx_bytes(document)


def test_headings_make_a_hierarchy_and_text_keeps_its_order():
    document = docx.Document()
    document.core_properties.title = "A report"
    document.core_properties.author = "A. N. Other"
    document.add_heading("Light", 1)
    document.add_paragraph("First.")
    document.add_heading("Shade", 2)
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("a", "b", "c", "d\ne"), strict=True):
        cell.text = text
    document.add_paragraph("Second.")
    found = read(docx_bytes(document))
    assert found.text == "Light\n\nFirst.\n\nShade\n\na | b\nc | d e\n\nSecond."
    assert [(h.level, h.title) for h in found.headings] == [(1, "Light"), (2, "Shade")]
    assert [found.text[h.start :].split("\n")[0] for h in found.headings] == ["Light", "Shade"]
    assert (found.title, found.author) == ("A report", "A. N. Other")
    assert (found.pages, found.page_count, found.status) == ((), None, "completed")


def test_a_style_based_on_a_heading_and_an_outline_level_count_as_headings():
    document = docx.Document()
    own = document.styles.add_style("Our chapter", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 3"]
    document.add_paragraph("Styled", style="Our chapter")
    paragraph = document.add_paragraph("Levelled")
    level = OxmlElement("w:outlineLvl")
    level.set(qn("w:val"), "1")
    paragraph._p.get_or_add_pPr().append(level)
    document.add_paragraph("Body")
    found = read(docx_bytes(document))
    assert [(h.level, h.title) for h in found.headings] == [(3, "Styled"), (2, "Levelled")]


def test_styles_based_on_each_other_end():
    document = docx.Document()
    one = document.styles.add_style("One", WD_STYLE_TYPE.PARAGRAPH)
    two = document.styles.add_style("Two", WD_STYLE_TYPE.PARAGRAPH)
    one.base_style, two.base_style = two, one
    document.add_paragraph("words", style="One")
    assert read(docx_bytes(document)).text == "words"


def test_the_title_is_taken_from_the_title_style_where_there_is_no_property():
    document = docx.Document()
    document.add_heading("The title", 0)
    assert read(docx_bytes(document)).title == "The title"


def test_list_items_have_their_marks_and_stand_together():
    document = docx.Document()
    document.add_paragraph("Things:")
    for text in ("one", "two"):
        document.add_paragraph(text, style="List Number")
    document.add_paragraph("dot", style="List Bullet")
    document.add_paragraph("End.")
    assert read(docx_bytes(document)).text == "Things:\n\n1. one\n2. two\n- dot\n\nEnd."


def test_tabs_breaks_links_and_insertions_are_text_and_deletions_are_not():
    document = docx.Document()
    paragraph = document.add_paragraph("a\tb\nc ")
    for xml in (
        "<w:ins {0}><w:r><w:t>new </w:t></w:r></w:ins>",
        "<w:del {0}><w:r><w:delText>old </w:delText></w:r></w:del>",
        "<w:moveFrom {0}><w:r><w:t>moved </w:t></w:r></w:moveFrom>",
        "<w:hyperlink {0}><w:r><w:t>link</w:t></w:r></w:hyperlink>",
    ):
        paragraph._p.append(parse_xml(xml.format(nsdecls("w"))))
    assert read(docx_bytes(document)).text == "a\tb\nc new link"


def test_content_controls_and_text_boxes_are_read_once():
    document = docx.Document()
    sdt = "<w:sdt {0}><w:sdtContent><w:p><w:r><w:t>controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    document.element.body.insert(0, parse_xml(sdt.format(nsdecls("w"))))
    box = (
        '<w:r {0} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:AlternateContent>'
        "<mc:Choice><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></mc:Choice>"
        "<mc:Fallback><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    document.add_paragraph("around")._p.append(parse_xml(box.format(nsdecls("w"))))
    assert read(docx_bytes(document)).text == "controlled\n\naround\n\nboxed"


def test_merged_and_nested_tables_are_read_once():
    document = docx.Document()
    table = document.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "tall"
    table.cell(0, 1).text = "right"
    inner = table.cell(1, 1).add_table(1, 1)
    inner.cell(0, 0).text = "inside"
    text = read(docx_bytes(document)).text
    assert re.findall(r"\w+", text) == ["tall", "right", "inside"]


def test_a_document_without_words_has_no_text():
    found = read(docx_bytes(docx.Document()))
    assert (found.status, found.reason) == ("no_text", "it holds no text")


def test_declared_entities_are_refused(plain):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'

    def change(name, content):
        if name != "word/document.xml":
            return content
        head, _, rest = content.partition(b"?>")
        return head + b"?>" + bomb + rest.replace(b"Some words.", b"&b;")

    found = read(rewritten(plain, change))
    assert found.status == "unreadable"
    assert "entities" in found.reason


def test_an_archive_that_unpacks_to_too_much_is_refused_whatever_its_header_says(plain):
    bomb = rewritten(plain, lambda _, c: c, add=[("word/more.xml", b"<a>" + b" " * 3_000_000)])
    found = read(bomb, max_unpacked_bytes=1_000_000)
    assert (found.status, found.document_type) == ("too_large", "docx")
    lying = bytearray(bomb)
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = bytes(lying).rindex(mark)
        lying[at + offset : at + offset + 4] = (100).to_bytes(4, "little")
    assert read(bytes(lying), max_unpacked_bytes=1_000_000).status in ("too_large", "unreadable")


def test_pictures_in_a_document_do_not_count(plain):
    big = rewritten(plain, lambda _, c: c, add=[("word/media/image1.png", bytes(3_000_000))])
    assert read(big, max_unpacked_bytes=1_000_000).text == "Some words."


def test_deeply_nested_xml_is_unreadable(plain):
    def change(name, content):
        if name != "word/document.xml":
            return content
        return content.replace(b"<w:body>", b"<w:body>" + b"<w:sdt>" * 5000 + b"</w:sdt>" * 5000)

    assert read(rewritten(plain, change)).status == "unreadable"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_off_file_is_unreadable(plain, share):
    found = read(plain[: int(len(plain) * share)])
    assert (found.status, found.text) == ("unreadable", "")


def test_other_archives_and_old_office_files_are_unsupported():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<a/>")
    sheet = read(out.getvalue())
    assert (sheet.status, sheet.reason) == (
        "unsupported",
        "its content is a spreadsheet, not a document",
    )
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert read(old).status == "unsupported"
    locked = read(old + "EncryptedPackage".encode("utf-16-le"))
    assert locked.status == "encrypted"


def test_a_docx_named_pdf_is_read_as_docx(plain):
    found = extract(plain, document_type="pdf")
    assert (found.document_type, found.text) == ("docx", "Some words.")


def test_without_python_docx_the_way_out_is_named(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(UnavailableError, match=r"aion_dagster\[documents\]"):
        read(plain)
