"""Collections of files that searches and chats hand on."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.client.models.agents import DocumentSearchAgentResult, ImageSearchAgentResult
from aion_dagster.client.models.collections import FileCollection, FileRef


def test_pictures_of_a_search_keep_what_is_known() -> None:
    found = ImageSearchAgentResult.model_validate(
        {
            "results": [
                {"image_id": "a", "score": 0.9, "filename": "a.jpg", "title": "A pole"},
                {"image_id": "b", "score": 0.5},
            ]
        }
    ).as_collection()
    assert (found.ids, found.content_type, found.count) == (["a", "b"], "images", 2)
    assert found[0] == FileRef("a", "image/*", "a.jpg", metadata={"score": 0.9, "title": "A pole"})


def test_documents_of_a_search_come_once_with_their_best_part() -> None:
    result = DocumentSearchAgentResult.model_validate(
        {
            "results": [
                {"chunk_id": "c1", "document_id": "d1", "text": "…", "score": 0.2},
                {"id": "c2", "document_id": "d2", "content": "…", "similarity_score": 0.3},
                {"chunk_id": "c3", "document_id": "d1", "score": 0.8, "page_numbers": [4]},
            ]
        }
    )
    documents = result.as_collection()
    assert documents.ids == ["d1", "d2"]
    assert documents[0].metadata["chunk_id"] == "c3"
    assert result.as_collection(by="chunk").ids == ["c1", "c2", "c3"]
    assert result.results[1].text == "…"


def test_collections_merge_keeping_the_file_of_which_more_is_known() -> None:
    bare = FileCollection.from_ids(["a", "b"], "images", "search")
    known = FileCollection((FileRef("b", filename="b.jpg"), FileRef("c")), "documents", "analysis")
    merged = FileCollection.merge(bare, known)
    assert merged.ids == ["a", "b", "c"]
    assert merged[1].filename == "b.jpg"
    assert (merged.content_type, merged.source_capability) == ("mixed", "search+analysis")
    assert FileCollection.merge() == FileCollection()


def test_collections_are_values() -> None:
    files = FileCollection.from_ids(["a", "b", "c"])
    assert [ref.id for ref in files] == ["a", "b", "c"]
    assert files[1:].ids == ["b", "c"]
    assert files.filter(lambda ref: ref.id != "b").ids == ["a", "c"]
    assert files == FileCollection.from_ids(["a", "b", "c"])
    assert not FileCollection()
    assert files.to_dict()["refs"][0]["id"] == "a"
    with pytest.raises(FrozenInstanceError):
        files.refs = ()  # type: ignore[misc]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=5))
def test_a_merge_has_every_file_once_in_the_order_of_first_sight(lists: list[list[str]]) -> None:
    merged = FileCollection.merge(*(FileCollection.from_ids(ids) for ids in lists))
    assert merged.ids == list(dict.fromkeys(each for ids in lists for each in ids))
