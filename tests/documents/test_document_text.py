"""TXT and MD: encodings, pages by form feeds, headings outside code."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.compute.documents.document import number_ranges, printable
from aion_dagster.compute.documents.extract import extract

SAMPLE = "Grüße, “quoted” – 10 €"


def txt(data):
    return extract(data, document_type="txt")


def md(text):
    return extract(text.encode(), document_type="md")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (SAMPLE.encode(), "utf-8"),
        (codecs.BOM_UTF8 + SAMPLE.encode(), "utf-8"),
        (codecs.BOM_UTF16_LE + SAMPLE.encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + SAMPLE.encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF32_LE + SAMPLE.encode("utf-32-le"), "utf-32-le"),
        (SAMPLE.encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_is_recognised(data, encoding):
    found = txt(data)
    assert (found.text, found.engine) == (SAMPLE, f"text/{encoding}")


def test_what_windows_1252_cannot_hold_is_latin_1():
    assert txt(b"a\x81\xe9").engine == "text/latin-1"


def test_utf_8_cut_within_its_last_character_stays_utf_8():
    found = txt("Grüß €".encode()[:-1])
    assert (found.text, found.engine) == ("Grüß", "text/utf-8")


def test_form_feeds_are_page_ends():
    found = txt(b"one\r\nmore\fTwo\f\fFour\f\n")
    assert [found.text[p.start : p.end] for p in found.pages] == ["one\nmore", "Two", "", "Four"]
    assert found.page_count == 4
    assert txt(b"no pages").page_count is None
    assert txt(b"no pages").pages == ()


def test_binary_data_is_no_text():
    assert txt(bytes(range(256))).status == "unsupported"
    assert txt(b"\x89PNG\r\n\x1a\n" + bytes(99)).reason == (
        "its content is a PNG picture, not a document"
    )
    assert txt(b"").status == "empty"
    assert txt(b" \n\t ").status == "no_text"


@given(st.binary(max_size=300))
def test_any_bytes_named_txt_give_a_text_that_can_be_stored_or_a_reason(data):
    found = txt(data)
    assert found.text.encode("utf-8") is not None
    assert found.status == "completed" or found.reason


@given(st.text(max_size=100))
def test_printable_text_encodes_and_has_one_kind_of_line_end(text):
    made = printable(text)
    assert made.encode("utf-8") is not None
    assert not set(made) & {"\r", "\x00", "\x7f"}


def test_markdown_headings_of_both_kinds():
    text = (
        "# One #\n\nText\n\nTwo\nwords\n===\n\nThree\n---\n\n### Four ##\n#no heading\n####### no\n"
    )
    found = md(text)
    assert [(h.level, h.title) for h in found.headings] == [
        (1, "One"),
        (1, "Two words"),
        (2, "Three"),
        (3, "Four"),
    ]
    assert found.text == text
    assert [text[h.start :][:3] for h in found.headings] == ["# O", "Two", "Thr", "###"]
    assert found.title == "One"


def test_code_lists_quotes_and_rules_hold_no_headings():
    text = (
        "````\n# code\n```\n# still code\n````\n\n~~~ python\n# code\n~~~\n\n    # indented\n\n"
        "- item\n---\n\n> quote\n---\n\n***\n---\n\n| a |\n|---|\n\n# Real\n"
    )
    assert [h.title for h in md(text).headings] == ["Real"]


def test_an_unclosed_fence_runs_to_the_end():
    assert md("# One\n```\n# no\n").headings == md("# One\n").headings


def test_front_matter_gives_title_and_author_and_no_heading():
    found = md('---\ntitle: "The title"\nauthor: Me\ntags: [a]\n---\n# Head\n')
    assert (found.title, found.author) == ("The title", "Me")
    assert [(h.level, h.title) for h in found.headings] == [(1, "Head")]


@given(st.text(alphabet="#=-`~ \n\tabc>|*1.", max_size=200))
def test_headings_stand_in_order_at_beginnings_of_lines(text):
    found = md(text)
    starts = [h.start for h in found.headings]
    assert starts == sorted(starts)
    assert all(s == 0 or found.text[s - 1] == "\n" for s in starts)


def test_page_numbers_are_written_as_ranges():
    assert number_ranges([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert number_ranges(range(1, 60, 2), most=2) == "1, 3 and 28 more"
