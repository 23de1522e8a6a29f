"""The `[[…]]` markup in texts of chats and agents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.client.models.references import (
    DocumentRef,
    ImageRef,
    LinkRef,
    parse_references,
    resolve_content,
    result_refs,
)

IMAGE = "a1b2c3d4-0000-4000-8000-000000000001"
DOCUMENT = "b1b2c3d4-0000-4000-8000-000000000002"
LINK = "c1b2c3d4-0000-4000-8000-000000000003"
FOUND = {"result_refs": {"search_1": {"count": 15, "ids": [IMAGE], "id_type": "image"}}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Found [[ref:search_1]] images.", "Found 15 images."),
        ("See [[img:a1b2c3d4|pole.jpg]].", "See pole.jpg."),
        ("See [[doc:b1b2|manual.pdf]].", "See manual.pdf."),
        ("See [[doc:b1b2|manual.pdf|p:5]].", "See manual.pdf (p.5)."),
        ("See [[doc:b1b2|manual.pdf|pp:3-7]].", "See manual.pdf (pp.3-7)."),
        ("See [[link:c1b2|A page | a site]].", "See A page|a site."),
        ("[[img:a1|scan[1].jpg]] [[img:a2|x[2]]]", "scan[1].jpg x[2]"),
        ("[[img:a1b2c3d4]]", "a1b2c3d4"),
        ("[[doc:b1b2||p:2]]", "b1b2 (p.2)"),
    ],
)
def test_markup_reads_as_plain_text(text: str, shown: str) -> None:
    assert resolve_content(text, FOUND) == shown


@pytest.mark.parametrize(
    "text",
    [
        "[[ref:search_9]]",
        "[[video:d1b2|clip.mp4]]",
        "[[img:]]",
        "[[img:|nameless.jpg]]",
        "[[img:a b|two words]]",
        "[[img:a1|never closed",
        "[[img:a1|over\ntwo lines]]",
        "matrix[[0]] and [[Some Wiki Page]]",
    ],
)
def test_what_is_no_known_markup_stays_as_it_is(text: str) -> None:
    assert resolve_content(text, FOUND) == text
    assert not parse_references(text, FOUND).has_references


def test_an_unclosed_reference_does_not_swallow_the_next() -> None:
    text = "[[img:a1|lost and [[img:a2|found.jpg]]"
    assert resolve_content(text) == "[[img:a1|lost and found.jpg"
    assert parse_references(text).images == [ImageRef("a2", "found.jpg")]


@pytest.mark.parametrize(
    "context",
    [
        [{"image_id": IMAGE, "filename": "pole.jpg"}],
        [{"id": IMAGE}],
        [IMAGE],
        {"images": [{"image_id": IMAGE}]},
        {IMAGE: {"filename": "pole.jpg"}},
    ],
)
def test_beginnings_of_ids_are_completed_from_whatever_form_the_context_has(context: Any) -> None:
    [ref] = parse_references("[[img:a1b2c3d4|pole.jpg]]", {"image_context": context}).images
    assert ref == ImageRef("a1b2c3d4", "pole.jpg", IMAGE)


def test_documents_and_links_are_completed_too() -> None:
    metadata = {
        "tool_document_data": {"documents": [{"document_id": DOCUMENT, "pages": [{"n": 1}]}]},
        "tool_link_data": [
            {"link_id": LINK, "source_url": "https://example.com/a", "domain": "example.com"}
        ],
    }
    text = "[[doc:B1B2C3D4|manual.pdf|p:5]] [[doc:ffff|other.pdf|pp:1–2]] [[link:c1b2|A page]]"
    parsed = parse_references(text, metadata)
    assert parsed.has_references
    assert parsed.documents == [
        DocumentRef("B1B2C3D4", "manual.pdf", DOCUMENT, page=5),
        DocumentRef("ffff", "other.pdf", page_range=(1, 2)),
    ]
    assert parsed.links == [LinkRef("c1b2", "A page", LINK, "https://example.com/a", "example.com")]


def test_ids_of_results_complete_references_and_an_ambiguous_beginning_does_not() -> None:
    other = IMAGE[:-1] + "9"
    assert parse_references("[[img:a1b2|x]]", FOUND).images[0].full_id == IMAGE
    assert parse_references("[[img:a1b2|x]]", FOUND, [other]).images[0].full_id is None
    assert parse_references(f"[[img:{IMAGE}|x]]", FOUND, [other]).images[0].full_id == IMAGE


def test_counts_are_found_under_both_keys_that_servers_write() -> None:
    written = {"result_refs": {"ref:0": {"count": 4, "ids": [], "id_type": "video", "label": "v"}}}
    assert resolve_content("Found [[ref:0]]", written) == "Found 4"
    assert parse_references("Found [[ref:0]]", written).counts["0"].id_type == "video"


def test_entries_that_are_no_results_are_left_out() -> None:
    odd = {"result_refs": {"a": 3, "b": {"count": "many"}, "c": {"count": None, "ids": None}}}
    assert list(result_refs(odd)) == ["c"]
    assert result_refs({"result_refs": "none"}) == {}


@given(st.text("[]|:pimgdocrefln123\n ", max_size=200))
def test_any_text_is_read(text: str) -> None:
    parsed = parse_references(text, FOUND)
    if not parsed.has_references:
        assert resolve_content(text, FOUND) == text
