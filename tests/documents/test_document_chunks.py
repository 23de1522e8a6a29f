"""Pieces of a token budget: nothing lost, nothing over budget, exact places, pages and headings."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.compute.documents.chunks import ChunkSettings, chunk
from aion_dagster.compute.documents.document import ExtractedDocument, Heading, join_pages
from aion_dagster.compute.documents.identifiers import chunk_id, document_id
from aion_dagster.compute.documents.tokens import blocks, word_offsets
from aion_dagster.errors import ConfigError

PIECES = st.sampled_from(
    [
        *(
            "light ",
            "shade",
            " Shade. ",
            "e.g. ",
            "don't",
            "\n",
            "\n\n",
            " \n \n",
            "x" * 40,
            "!",
            "“Yes.” ",
        ),
        *(
            "図書館。",
            "写真",
            "😀",
            "\u200b",
            "\u00ad",
            "\u3000",
            "a_b",
            "12,5 ",
            "É",
            "e\u0301",
            "\t",
            "—",
            "z" * 700,
        ),
    ]
)
PAGES = st.lists(st.lists(PIECES, max_size=60).map("".join), min_size=1, max_size=6)
SETTINGS = st.integers(16, 60).flatmap(
    lambda most: st.builds(ChunkSettings, st.just(most), st.integers(0, most // 2))
)


def letters(text):
    """A tokenizer like a model's: pieces of at most three letters, and some characters that it does not see."""
    return [
        (at, min(at + 3, end))
        for start, end in word_offsets(text)
        for at in range(start, end, 3)
        if text[at] not in "\u200b\u00ad"
    ]


@st.composite
def documents(draw):
    text, pages = join_pages(draw(PAGES))
    places = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(0, len(text))), max_size=5))
    headings = sorted(
        (Heading(v, f"H{i}", s) for i, (v, s) in enumerate(places)), key=lambda h: h.start
    )
    return ExtractedDocument("completed", "pdf", text=text, pages=pages, headings=tuple(headings))


def solid(text, start, end):
    return {i for i in range(start, end) if not text[i].isspace()}


@pytest.mark.parametrize("offsets", [word_offsets, letters])
@given(document=documents(), settings=SETTINGS)
def test_pieces_hold_everything_within_the_budget_at_exact_places(offsets, document, settings):
    pieces = list(chunk(document, offsets, settings))
    text = document.text
    held = set()
    for i, piece in enumerate(pieces):
        assert piece.index == i
        assert piece.content == text[piece.start : piece.end]
        assert piece.content == piece.content.strip()
        assert 0 < piece.token_count <= settings.max_tokens
        inside = solid(text, piece.start, piece.end)
        held |= inside
        on = {p.number for p in document.pages if any(p.start <= c < p.end for c in inside)}
        assert list(piece.page_numbers) == sorted(on)
    assert held == solid(text, 0, len(text))
    assert pieces == list(chunk(document, offsets, settings))


@given(document=documents(), settings=SETTINGS)
def test_a_piece_repeats_no_more_than_the_overlap_and_never_nothing_new(document, settings):
    pieces = list(chunk(document, word_offsets, settings))
    for before, after in pairwise(pieces):
        assert before.start < after.start
        assert before.end < after.end
        shared = document.text[after.start : before.end]
        assert len(word_offsets(shared)) <= settings.overlap


@given(document=documents(), settings=SETTINGS)
def test_a_piece_never_runs_on_into_the_next_section_of_the_highest_level(document, settings):
    top = min((h.level for h in document.headings), default=0)
    for piece in chunk(document, word_offsets, settings):
        for heading in document.headings:
            if heading.level == top and piece.start < heading.start < piece.end:
                # Only where it stands within a word can nothing be cut there.
                assert not solid(document.text, piece.start, heading.start) or (
                    heading.start not in {s for s, _ in word_offsets(document.text)}
                )


def test_plain_prose_overlaps_by_the_tokens_asked_for():
    text = " ".join(f"word{i}" for i in range(500))
    document = ExtractedDocument("completed", "txt", text=text)
    pieces = list(chunk(document, word_offsets, ChunkSettings(100, 20)))
    for before, after in pairwise(pieces):
        assert len(word_offsets(text[after.start : before.end])) == 20
        assert after.content.startswith("word")


def test_cuts_are_made_at_paragraphs_then_at_sentences():
    sentence = "Nine words make up this sentence about the light. "
    paragraphs = "\n\n".join([sentence * 6] * 6)
    document = ExtractedDocument("completed", "txt", text=paragraphs)
    pieces = list(chunk(document, word_offsets, ChunkSettings(100, 0)))
    assert all(p.content == (sentence * 6).strip() for p in pieces)
    flow = ExtractedDocument("completed", "txt", text=sentence * 40)
    assert all(
        p.content.endswith("light.") for p in chunk(flow, word_offsets, ChunkSettings(64, 8))
    )


def test_a_sentence_may_run_on_over_a_page_end():
    text, pages = join_pages(["one two three four five six seven eight"] * 4)
    document = ExtractedDocument("completed", "pdf", text=text, pages=pages)
    pieces = list(chunk(document, word_offsets, ChunkSettings(18, 0)))
    assert [p.page_numbers for p in pieces] == [(1, 2), (3, 4)]
    assert [p.token_count for p in pieces] == [16, 16]


def test_headings_are_those_above_the_first_character():
    text = "intro\n\nA\n\naaa\n\nA1\n\nbbb\n\nB\n\nccc"
    marks = [(1, "A"), (2, "A1"), (1, "B")]
    headings = tuple(Heading(v, t, text.index(f"\n{t}\n") + 1) for v, t in marks)
    document = ExtractedDocument("completed", "docx", text=text, headings=headings)
    pieces = list(chunk(document, word_offsets, ChunkSettings(200, 32)))
    assert [p.content.split()[0] for p in pieces] == ["intro", "A", "B"]
    assert [p.heading_hierarchy for p in pieces] == [(), ("A",), ("B",)]
    small = list(chunk(document, word_offsets, ChunkSettings(16, 0)))
    assert [p.heading_hierarchy for p in small][:2] == [(), ("A",)]


def test_a_lower_heading_begins_a_piece_without_overlap():
    body = "word " * 60
    text = f"A\n\n{body}\n\nA1\n\n{body}"
    headings = (Heading(1, "A", 0), Heading(2, "A1", text.index("A1")))
    document = ExtractedDocument("completed", "md", text=text, headings=headings)
    pieces = list(chunk(document, word_offsets, ChunkSettings(100, 20)))
    assert [p.content.split()[0] for p in pieces] == ["A", "A1"]
    assert [p.heading_hierarchy for p in pieces] == [("A",), ("A", "A1")]


def test_a_word_that_models_take_for_one_unknown_token_is_divided():
    document = ExtractedDocument("completed", "txt", text="x" * 100_000)
    pieces = list(chunk(document, lambda t: [(0, len(t))], ChunkSettings(64, 8)))
    assert all(len(p.content) <= 64 * 300 for p in pieces)
    assert "".join(p.content for p in pieces) == document.text


@given(st.lists(PIECES, max_size=400).map("".join))
def test_blocks_of_a_long_text_follow_each_other(text):
    ends = list(blocks(text * 50))
    assert ends[0][0] == 0
    assert ends[-1][1] == len(text * 50)
    assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_ids_are_made_from_content_and_settings():
    sha256 = "ab" * 32
    assert document_id(sha256) == document_id(sha256)
    ids = {chunk_id(document_id(sha256), i, p) for i in range(5) for p in ("a", "b")}
    assert len(ids) == 10


def test_settings_out_of_range_are_refused():
    for wrong in ({"max_tokens": 8}, {"overlap": 120}, {"overlap": -1}):
        with pytest.raises(ConfigError):
            ChunkSettings(**wrong)
