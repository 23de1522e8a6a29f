"""Documents through the API: listing, reading, searching, deleting; either side of what the sources contradict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loopback_api import Asked, LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client.errors import ResourceNotFoundError, ValidationError
from aion_dagster.client.models.document_uploads import NO_LIMIT
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.resources.documents import DocumentsResource, SyncDocumentsResource

ID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def documents(api: LoopbackApi) -> Iterator[SyncDocumentsResource]:
    with blocking_client(api) as client:
        yield SyncDocumentsResource(DocumentsResource(client.transport))


@pytest.mark.parametrize("field", ["documents", "items"])
@pytest.mark.parametrize("status", ["extraction_status", "text_extraction_status"])
def test_a_page_of_documents_is_counted_from_one(
    api: LoopbackApi, documents: Any, field: str, status: str
) -> None:
    api.on(
        "GET /documents",
        {
            field: [{"id": ID, "filename": "r.pdf", status: "completed", "page_count": 3}],
            "total_count": 41,
            "page": 2,
            "page_size": 20,
        },
    )
    page = documents.list(page=2, status_filter="completed")
    assert api.requests[0].query == {
        "page": ["2"],
        "page_size": ["20"],
        "status_filter": ["completed"],
    }
    assert (page.total_count, page.page, page.page_size, page.has_more) == (41, 2, 20, True)
    document = page.documents[0]
    assert document.text_extraction_status is WorkStatus.COMPLETED
    assert document.extraction_status is WorkStatus.COMPLETED
    assert document.page_count == 3


@pytest.mark.parametrize("given", [{"page": 0}, {"page_size": 0}, {"page_size": 101}])
def test_a_page_that_there_cannot_be_is_refused(
    api: LoopbackApi, documents: Any, given: dict[str, int]
) -> None:
    with pytest.raises(ValidationError) as refused:
        documents.list(**given)
    assert refused.value.details["field"] in given
    assert api.requests == []


def test_iterating_ends_at_an_empty_page(api: LoopbackApi, documents: Any) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        number = int(asked.query["page"][0])
        return {"documents": [{"id": f"d{number}{i}"} for i in range(2)] if number < 3 else []}

    api.on("GET /documents", page)
    assert [d.id for d in documents.list_all(page_size=2)] == ["d10", "d11", "d20", "d21"]


def test_a_document_has_its_types(api: LoopbackApi, documents: Any) -> None:
    api.on(
        "GET /documents/{id}",
        {
            "id": ID,
            "filename": "r.pdf",
            "created_at": "2025-01-15T10:30:00",
            "extraction_status": "ocr_running",
            "embedding_status": "completed",
        },
    )
    document = documents.get(ID)
    assert document.created_at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert document.text_extraction_status == "ocr_running"
    assert not document.text_extraction_status.is_known
    assert document.embedding_status is WorkStatus.COMPLETED


def test_titles_and_tags_are_changed_where_given(api: LoopbackApi, documents: Any) -> None:
    api.on("PATCH /documents/{id}", {"id": ID, "title": "T", "tags": ["a"]})
    assert documents.update(ID, tags=["a"]).tags == ["a"]
    assert api.requests[0].json == {"tags": ["a"]}
    with pytest.raises(ValidationError, match="tags"):
        documents.update(ID, tags=["x"] * 41)


def test_the_text_is_text(api: LoopbackApi, documents: Any) -> None:
    api.on("GET /documents/{id}/text", {"document_id": ID, "filename": "r", "text": "Füße\n"})
    assert documents.get_text(ID) == "Füße\n"


@pytest.mark.parametrize(
    "chunk",
    [
        {"chunk_id": "c", "content": "text", "metadata": {"token_count": 7}},
        {"id": "c", "text": "text", "token_count": 7, "metadata": None},
    ],
)
def test_either_shape_of_a_piece_of_text_is_read(
    api: LoopbackApi, documents: Any, chunk: dict[str, Any]
) -> None:
    api.on(
        "GET /documents/{id}/chunks",
        {
            "document_id": ID,
            "chunks": [
                chunk | {"chunk_index": 0, "page_numbers": [1, 2], "heading_hierarchy": ["A", "B"]}
            ],
            "total_chunks": 1,
        },
    )
    found = documents.get_chunks(ID)
    assert "include_embeddings" not in api.requests[0].query
    piece = found.chunks[0]
    assert (piece.chunk_id, piece.content, piece.token_count) == ("c", "text", 7)
    assert (piece.page_numbers, piece.heading_hierarchy) == ([1, 2], ["A", "B"])
    assert piece.similarity_score is None


def test_states_of_embeddings_come_on_request(api: LoopbackApi, documents: Any) -> None:
    api.on(
        "GET /documents/{id}/chunks",
        {"document_id": ID, "chunks": [], "total_chunks": 0, "status_counts": {"completed": 4}},
    )
    assert documents.get_chunks(ID, include_embeddings=True).status_counts == {"completed": 4}
    assert api.requests[0].query == {"include_embeddings": ["true"]}


def test_a_download_is_a_url(api: LoopbackApi, documents: Any) -> None:
    api.on("GET /documents/{id}/download", Reply(b"", 302, {"Location": "https://s.example/d"}))
    assert documents.download(ID) == "https://s.example/d"


def test_a_document_is_written_to_a_file(api: LoopbackApi, documents: Any, tmp_path: Path) -> None:
    api.on("GET /documents/{id}/download", Reply(b"", 302, {"Location": f"{api.url}/d"}))
    api.on("GET //d", Reply(b"%PDF"))
    assert documents.download_to(ID, tmp_path / "d.pdf").read_bytes() == b"%PDF"


@pytest.mark.parametrize("score", ["score", "similarity_score"])
def test_a_search_finds_pieces_with_their_score(
    api: LoopbackApi, documents: Any, score: str
) -> None:
    api.on(
        "POST /documents/search",
        {
            "query": "safety",
            "results": [
                {
                    "chunk_id": "c",
                    "document_id": ID,
                    "document_filename": "r.pdf",
                    "chunk_index": 4,
                    "content": "wear a helmet",
                    score: 0.75,
                },
                {"chunk_id": "d", "content": "", score: None},
            ],
            "total_count": 2,
            "search_time_ms": 12,
        },
    )
    found = documents.search("safety", document_ids=[ID])
    assert api.requests[0].json == {
        "query": "safety",
        "limit": 20,
        "similarity_threshold": 0.3,
        "document_ids": [ID],
    }
    assert [r.score for r in found.results] == [0.75, None]
    assert found.results[0].document_filename == "r.pdf"
    assert (found.total_count, found.search_time_ms, found.query) == (2, 12, "safety")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "x" * 1001}, "query"),
        ({"query": "q", "limit": 0}, "limit"),
        ({"query": "q", "limit": 101}, "limit"),
        ({"query": "q", "similarity_threshold": 1.1}, "similarity_threshold"),
        ({"query": "q", "document_ids": []}, "document_ids"),
    ],
)
def test_a_search_beyond_the_limits_is_not_sent(
    api: LoopbackApi, documents: Any, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        documents.search(**given)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_deleting_answers_nothing(api: LoopbackApi, documents: Any) -> None:
    api.on("DELETE /documents/{id}", Reply(status=204))
    assert documents.delete(ID) is None


def test_deleting_several_says_what_became_of_each(api: LoopbackApi, documents: Any) -> None:
    api.on(
        "POST /documents/batch-delete",
        {
            "deleted": [{"id": ID, "status": "deleted"}],
            "skipped": [{"id": "s", "status": "skipped", "message": "processing"}],
            "failed": [],
            "summary": {"total": 2, "deleted": 1, "skipped": 1, "failed": 0},
        },
    )
    done = documents.batch_delete([ID, "s"])
    assert api.requests[0].json == {"document_ids": [ID, "s"]}
    assert (done.skipped[0].message, done.summary["skipped"]) == ("processing", 1)
    with pytest.raises(ValidationError, match="document_ids"):
        documents.batch_delete(["x" + str(i) for i in range(101)])


def test_the_quota_of_the_specification(api: LoopbackApi, documents: Any) -> None:
    api.on(
        "GET /document-uploads/quota-check",
        {
            "can_proceed": True,
            "requested": 5,
            "available": 990,
            "monthly_limit": 1000,
            "current_usage": 10,
            "message": None,
        },
    )
    quota = documents.quota_check(5)
    assert api.requests[0].query == {"file_count": ["5"]}
    assert (quota.document_limit, quota.document_count) == (1000, 10)
    assert (quota.monthly_limit, quota.current_usage) == (1000, 10)
    assert (quota.documents_remaining, quota.storage_remaining_bytes) == (990, NO_LIMIT)


def test_the_quota_of_the_reference(api: LoopbackApi, documents: Any) -> None:
    api.on(
        "GET /document-uploads/quota-check",
        {
            "can_proceed": False,
            "document_count": 120,
            "document_limit": 100,
            "storage_used_bytes": 10,
            "storage_limit_bytes": 50,
            "message": "full",
        },
    )
    quota = documents.quota_check()
    assert (quota.can_proceed, quota.documents_remaining) == (False, 0)
    assert (quota.storage_remaining_bytes, quota.message) == (40, "full")


def test_a_quota_without_a_limit_has_any_number_left(api: LoopbackApi, documents: Any) -> None:
    api.on("GET /document-uploads/quota-check", {"can_proceed": True, "monthly_limit": None})
    assert documents.quota_check().documents_remaining == NO_LIMIT


def test_a_document_that_is_not_there_is_named_so(api: LoopbackApi, documents: Any) -> None:
    api.on("GET /documents/{id}", Reply({"detail": "Document not found"}, 404))
    with pytest.raises(ResourceNotFoundError, match="Document not found"):
        documents.get(ID)


def test_the_awaited_client_does_the_same(api: LoopbackApi) -> None:
    api.on("GET /documents", [{"documents": [{"id": "a"}]}, {"documents": []}])
    api.on("GET /documents/{id}/text", {"text": "t"})

    async def use() -> tuple[list[str], str]:
        async with awaited_client(api) as client:
            documents = DocumentsResource(client.transport)
            return [d.id async for d in documents.list_all()], await documents.get_text("a")

    assert asyncio.run(use()) == (["a"], "t")
