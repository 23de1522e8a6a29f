"""Documents: what the server knows of them, their pieces of text, and what a search finds."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, AliasPath, Field

from aion_dagster.client.models.base import Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.files import BatchDeleteFilesResponse, UpdateFileResult
from aion_dagster.client.models.listing import Listing
from aion_dagster.client.models.nulls import Count, Counts, Rounded, Text
from aion_dagster.client.models.statuses import WorkStatus


class DocumentItem(Model):
    """A document as lists show it."""

    id: str = Field(validation_alias=either("id", "document_id"))
    filename: Text = ""
    title: str | None = None
    content_type: str | None = None
    document_type: str | None = None
    size_bytes: int | None = None
    page_count: int | None = None
    chunk_count: int | None = None
    text_extraction_status: WorkStatus | None = Field(
        default=None, validation_alias=either("text_extraction_status", "extraction_status")
    )
    embedding_status: WorkStatus | None = None
    created_at: UtcDatetime | None = None

    @property
    def extraction_status(self) -> WorkStatus | None:
        """The same as `text_extraction_status`, as the specification calls it."""
        return self.text_extraction_status


class DocumentDetails(DocumentItem):
    """What is known of a document."""

    tags: Rows[str] = rows("tags")
    object_key: str | None = None
    updated_at: UtcDatetime | None = None


class DocumentList(Listing):
    """A page of documents; `total_count` counts all that match."""

    documents: Rows[DocumentItem] = rows("documents", "items", "files")
    page: Count = 1
    page_size: Count = 0


class DocumentTextResponse(Model):
    """The whole text of a document."""

    document_id: Text = Field(default="", validation_alias=either("document_id", "id"))
    filename: Text = ""
    text: Text = Field(default="", validation_alias=either("text", "content"))
    page_count: int | None = None
    metadata: dict[str, Any] | None = None


class DocumentChunk(Model):
    """A piece of a document's text."""

    chunk_id: str = Field(validation_alias=either("chunk_id", "id"))
    document_id: Text = ""
    document_filename: Text = Field(
        default="", validation_alias=either("document_filename", "filename")
    )
    chunk_index: int | None = None
    content: Text = Field(default="", validation_alias=either("content", "text"))
    page_numbers: list[int] | None = None
    heading_hierarchy: list[str] | None = None
    metadata: dict[str, Any] | None = None
    token_count: int | None = Field(
        default=None,
        validation_alias=AliasChoices("token_count", AliasPath("metadata", "token_count")),
    )
    similarity_score: float | None = Field(
        default=None, validation_alias=either("similarity_score", "score")
    )
    embedding: list[float] | None = None
    embedding_status: str | None = None


class DocumentChunksResponse(Model):
    """All pieces of a document, in its order."""

    document_id: Text = Field(default="", validation_alias=either("document_id", "id"))
    chunks: Rows[DocumentChunk] = rows("chunks", "items")
    total_chunks: Count = Field(
        default=0, validation_alias=either("total_chunks", "total_count", "total")
    )
    status_counts: Counts = Field(default_factory=dict)
    """Pieces by the state of their embedding, where it was asked for."""


class DocumentSearchResult(DocumentChunk):
    """A piece of text that a search found; `score` 0 to 1, higher is closer, None where the server gives none."""

    score: float | None = Field(default=None, validation_alias=either("score", "similarity_score"))


class DocumentSearchResponse(Model):
    """What a search found, the closest first."""

    results: Rows[DocumentSearchResult] = rows("results", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    search_time_ms: Rounded = 0
    query: Text = ""


class DocumentUpdateResult(UpdateFileResult):
    """A document after its title or tags were changed."""


class DocumentBatchDeleteResponse(BatchDeleteFilesResponse):
    """What a deletion of several documents did."""
