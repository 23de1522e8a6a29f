"""Documents: their text, their chunks, search."""

from __future__ import annotations

from typing import Any

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, invalid
from ..registry import answers
from ..world import World
from .documents_intake import chunks_of, likeness, words_of
from .files import changed, deleted, found_at
from .library import Library, RemoteFile, refreshed


def _document(world: World, asked: Asked) -> RemoteFile:
    return refreshed(world, world.room(Library).get(asked.ids["document_id"], "document"))


def _finished(world: World, asked: Asked) -> RemoteFile:
    """A document whose text is there.

    Raises:
        Refusal: it is not.
    """
    file = _document(world, asked)
    if file.extra["text_extraction_status"] != "completed":
        raise Refusal(409, "NOT_READY", "The document has not been processed")
    return file


def as_document(file: RemoteFile) -> dict[str, Any]:
    """A document in the answers of `/documents`."""
    return {
        "id": file.id,
        "filename": file.filename,
        "title": file.title,
        "content_type": file.content_type,
        "size_bytes": file.stored.size,
        "page_count": file.extra["page_count"],
        "chunk_count": file.extra["chunk_count"],
        "extraction_status": file.extra["text_extraction_status"],
        "created_at": stamp(file.created),
    }


@answers("GET /documents")
def list_documents(world: World, asked: Asked) -> Answer:
    page, size = asked.number("page", 1), asked.number("page_size", 20)
    wanted = asked.text("status_filter")
    documents = [
        refreshed(world, f) for f in world.room(Library).live() if f.media_type == "document"
    ]
    found = [f for f in documents if wanted in (None, f.extra["text_extraction_status"])]
    found.reverse()
    shown = found[(page - 1) * size : page * size]
    answer = Answer(
        {
            "documents": [as_document(file) for file in shown],
            "total_count": len(found),
            "page": page,
            "page_size": size,
            "has_more": page * size < len(found),
        }
    )
    for file in shown:
        file.look()
    return answer


@answers("GET /documents/{document_id}")
def get_document(world: World, asked: Asked) -> Answer:
    file = _document(world, asked)
    answer = Answer(as_document(file))
    file.look()
    return answer


@answers("PATCH /documents/{document_id}")
def update_document(world: World, asked: Asked) -> Answer:
    return Answer(changed(world, _document(world, asked), asked))


@answers("DELETE /documents/{document_id}")
def delete_document(world: World, asked: Asked) -> Answer:
    world.room(Library).delete(_document(world, asked), world.now())
    return Answer(status=204, raw=b"")


@answers("POST /documents/batch-delete", needs="document_ids")
def delete_documents(world: World, asked: Asked) -> Answer:
    return Answer(deleted(world, asked.given("document_ids"), "document"))


@answers("GET /documents/{document_id}/text")
def text(world: World, asked: Asked) -> Answer:
    file = _finished(world, asked)
    return Answer(
        {
            "document_id": file.id,
            "filename": file.filename,
            "text": " ".join(words_of(file.stored)),
            "page_count": file.extra["page_count"],
            "metadata": {"document_type": file.extra["document_type"]},
        }
    )


@answers("GET /documents/{document_id}/chunks")
def chunks(world: World, asked: Asked) -> Answer:
    file = _finished(world, asked)
    found = chunks_of(file)
    if asked.flag("include_embeddings") and world.sides["chunk_embeddings"] == "given":
        found = [c | {"embedding": [round(i / 8, 3) for i in range(8)]} for c in found]
    return Answer(
        {
            "document_id": file.id,
            "chunks": found,
            "total_chunks": len(found),
            "status_counts": {"completed": len(found)},
        }
    )


@answers("GET /documents/{document_id}/download")
def download(world: World, asked: Asked) -> Answer:
    file = _document(world, asked)
    return found_at(world.place(file.stored, file.filename))


@answers("POST /documents/search", needs="query")
def search(world: World, asked: Asked) -> Answer:
    query, limit = asked.given("query"), asked.given("limit", 20)
    hits = matching(world, query, asked.given("document_ids"))
    hits = [h for h in hits if h["similarity_score"] >= asked.given("similarity_threshold", 0.3)]
    world.books.bill(asked.entry, "searches")
    return Answer(
        {
            "query": query,
            "results": hits[:limit],
            "total_count": len(hits),
            "search_time_ms": 12,
        }
    )


def matching(world: World, query: str, ids: list[str] | None) -> list[dict[str, Any]]:
    """Chunks of finished documents that have words of a query, the best first."""
    if not query.strip():
        raise invalid("query", "query: must not be empty")
    hits = [
        chunk | {"similarity_score": score}
        for file in world.room(Library).live()
        if file.media_type == "document" and (ids is None or file.id in ids)
        if refreshed(world, file).extra["text_extraction_status"] == "completed"
        for chunk in chunks_of(file)
        if (score := likeness(query, f"{file.title or ''} {chunk['content']}")) > 0
    ]
    return sorted(hits, key=lambda h: -h["similarity_score"])
