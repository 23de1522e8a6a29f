"""`client.documents`: PDF, DOCX, TXT and MD files, their text, and searching in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.identifiers import maybe_ids, some_ids
from aion_dagster.client.landing import landed
from aion_dagster.client.models.documents import (
    DocumentBatchDeleteResponse,
    DocumentChunksResponse,
    DocumentDetails,
    DocumentSearchResponse,
    DocumentTextResponse,
    DocumentUpdateResult,
)
from aion_dagster.client.resources.document_sending import DocumentSending
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

QUERY = 1000
"""Characters of a search, at most."""


class DocumentsResource(DocumentSending):
    """Send, list, read, search and delete documents."""

    async def get(self, document_id: str) -> DocumentDetails:
        """What is known of a document."""
        return await self._ask(
            DocumentDetails, "GET /documents/{document_id}", ids={"document_id": document_id}
        )

    async def update(
        self, document_id: str, *, title: str | None = None, tags: Sequence[str] | None = None
    ) -> DocumentUpdateResult:
        """Change title (at most 255 characters) or tags (at most 40 of 50); None leaves one as it is."""
        limits.check_title(title)
        limits.check_tags(tags)
        return await self._ask(
            DocumentUpdateResult,
            "PATCH /documents/{document_id}",
            ids={"document_id": document_id},
            body={"title": title, "tags": None if tags is None else [*tags]},
        )

    async def get_text(self, document_id: str) -> str:
        """The whole text of a document."""
        answer = await self._ask(
            DocumentTextResponse,
            "GET /documents/{document_id}/text",
            ids={"document_id": document_id},
        )
        return answer.text

    async def get_chunks(
        self, document_id: str, *, include_embeddings: bool = False
    ) -> DocumentChunksResponse:
        """All pieces of a document's text; `include_embeddings` adds the state of their embeddings.

        No server is known to give the vectors themselves; one that does finds them read (`embedding`).
        """
        return await self._ask(
            DocumentChunksResponse,
            "GET /documents/{document_id}/chunks",
            ids={"document_id": document_id},
            query={"include_embeddings": include_embeddings or None},
        )

    async def download(self, document_id: str) -> str:
        """The URL of the original file; it needs no key and lives for an hour."""
        return await self._transport.location(
            Call("GET /documents/{document_id}/download", ids={"document_id": document_id})
        )

    async def download_to(self, document_id: str, path: str | Path) -> Path:
        """Write the original file to `path`, piece by piece; the file appears when it is whole."""
        call = Call("GET /documents/{document_id}/download", ids={"document_id": document_id})
        return await landed(self._runtime, self._transport.pieces(call), Path(path))

    async def search(
        self,
        query: str,
        *,
        limit: int = 20,
        similarity_threshold: float = 0.3,
        document_ids: Sequence[str] | None = None,
    ) -> DocumentSearchResponse:
        """Pieces of text by their meaning.

        Args:
            query: 1 to 1000 characters.
            limit: 1 to 100 pieces.
            similarity_threshold: 0 to 1, what is less similar is left out.
            document_ids: search in these only.
        """
        limits.check_text("query", query, QUERY, 1)
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("similarity_threshold", similarity_threshold, 0, 1)
        return await self._ask(
            DocumentSearchResponse,
            "POST /documents/search",
            body={
                "query": query,
                "limit": limit,
                "similarity_threshold": similarity_threshold,
                "document_ids": maybe_ids("document_ids", document_ids),
            },
        )

    async def delete(self, document_id: str) -> None:
        """Delete a document with its file and its text."""
        await self._ask(
            object,
            "DELETE /documents/{document_id}",
            ids={"document_id": document_id},
        )

    async def batch_delete(self, document_ids: Sequence[str]) -> DocumentBatchDeleteResponse:
        """Delete 1 to 100 documents; those that are being processed are skipped."""
        return await self._ask(
            DocumentBatchDeleteResponse,
            "POST /documents/batch-delete",
            body={"document_ids": some_ids("document_ids", document_ids, 1, limits.DELETED_IDS)},
        )


class SyncDocumentsResource(SyncResource[DocumentsResource]):
    """The same, blocking."""

    upload_one = blocking(DocumentsResource.upload_one)
    upload = blocking(DocumentsResource.upload)
    list = blocking(DocumentsResource.list)
    list_all = iterating(DocumentsResource.list_all)
    get = blocking(DocumentsResource.get)
    update = blocking(DocumentsResource.update)
    get_text = blocking(DocumentsResource.get_text)
    get_chunks = blocking(DocumentsResource.get_chunks)
    download = blocking(DocumentsResource.download)
    download_to = blocking(DocumentsResource.download_to)
    search = blocking(DocumentsResource.search)
    delete = blocking(DocumentsResource.delete)
    batch_delete = blocking(DocumentsResource.batch_delete)
    wait_for_processing = blocking(DocumentsResource.wait_for_processing)
    request_upload = blocking(DocumentsResource.request_upload)
    send_presigned = blocking(DocumentsResource.send_presigned)
    confirm_upload = blocking(DocumentsResource.confirm_upload)
    get_status = blocking(DocumentsResource.get_status)
    batch_prepare = blocking(DocumentsResource.batch_prepare)
    batch_confirm = blocking(DocumentsResource.batch_confirm)
    batch_status = blocking(DocumentsResource.batch_status)
    quota_check = blocking(DocumentsResource.quota_check)
