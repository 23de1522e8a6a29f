"""Uploads of documents: permission, confirmation, state, batches of them, quota."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from aion_dagster.client.models.base import (
    JsonMapping,
    Model,
    Rows,
    UtcDatetime,
    either,
    rows,
)
from aion_dagster.client.models.nulls import Count, Flag, Text
from aion_dagster.client.models.statuses import WorkStatus

NO_LIMIT: Final = -1
"""A limit that there is not, or that the server does not name."""

Limit = Annotated[int, BeforeValidator(lambda value: NO_LIMIT if value is None else value)]


class DocumentPresignedUploadResult(Model):
    """Where a document may be sent, and how; the URL needs no key and lives for some minutes."""

    upload_url: str
    upload_method: str = "PUT"
    upload_fields: JsonMapping = Field(default_factory=dict)
    upload_headers: JsonMapping = Field(default_factory=dict)
    object_key: Text = ""
    expires_at: UtcDatetime | None = None
    max_size_bytes: int | None = None
    storage_target: str | None = None
    bucket_name: str | None = None


class DocumentConfirmResult(Model):
    """The server has found the document in storage and processes it.

    `deduplicated`: its content was there before, under this `document_id`. `is_idempotent_retry`: this very upload was
    confirmed before.
    """

    document_id: str = Field(validation_alias=either("document_id", "id", "image_id"))
    object_key: Text = ""
    filename: Text = ""
    document_type: str | None = None
    status: WorkStatus = Field(
        default=WorkStatus.PENDING,
        validation_alias=either("status", "text_extraction_status", "extraction_status"),
    )
    confirmed: Flag = True
    deduplicated: Flag = False
    is_idempotent_retry: Flag = False


class DocumentStatusResult(Model):
    """How far the processing of a document is."""

    document_id: str = Field(validation_alias=either("document_id", "id"))
    filename: Text = ""
    document_type: str | None = None
    text_extraction_status: WorkStatus | None = Field(
        default=None,
        validation_alias=either("text_extraction_status", "extraction_status", "status"),
    )
    embedding_status: WorkStatus | None = None
    page_count: int | None = None
    chunk_count: int | None = None
    error_message: str | None = Field(
        default=None, validation_alias=either("error_message", "error")
    )
    created_at: UtcDatetime | None = None
    processing_started_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is processed, or never will be."""
        return self.text_extraction_status is not None and self.text_extraction_status.is_over


class DocumentFileInfo(Model):
    """A document that is going to be sent."""

    filename: str
    size_bytes: int
    content_type: str
    idempotency_key: str | None = None
    storage_target: str | None = None


class DocumentUploadPlan(Model):
    """How the server wants the documents of a batch to be sent."""

    strategy: Text = ""
    max_concurrent: Count = 1
    retry_policy: JsonMapping = Field(default_factory=dict)
    timeout_per_upload: Count = 0


class DocumentBatchPresignedUrl(DocumentPresignedUploadResult):
    """Where one document of a batch may be sent."""

    file_index: int = 0
    filename: Text = ""
    upload_intent_id: str | None = None


class DocumentBatchPrepareResult(Model):
    """Where the documents of a batch may be sent."""

    batch_id: str
    upload_plan: DocumentUploadPlan = Field(default_factory=DocumentUploadPlan)
    presigned_urls: Rows[DocumentBatchPresignedUrl] = rows("presigned_urls", "files")
    total_size_bytes: Count = 0
    estimated_time_seconds: float | None = None
    expires_at: UtcDatetime | None = None


class DocumentUploadConfirmation(Model):
    """What became of one document that was sent into storage."""

    object_key: str
    success: bool
    file_size: int
    checksum: str | None = None
    error_message: str | None = None


class DocumentBatchItem(Model):
    """A document of a batch."""

    document_id: str = Field(validation_alias=either("document_id", "id"))
    object_key: Text = ""
    filename: Text = ""
    document_type: str | None = None
    text_extraction_status: WorkStatus | None = Field(
        default=None,
        validation_alias=either("text_extraction_status", "extraction_status", "status"),
    )
    created_at: UtcDatetime | None = None


class DocumentBatchConfirmResult(Model):
    """What the server found of a batch."""

    batch_id: str
    successful_uploads: Count = 0
    failed_uploads: Count = 0
    processing_status: Text = ""
    failed_files: Rows[str] = rows("failed_files")
    message: Text = ""
    documents: Rows[DocumentBatchItem] = rows("documents", "items")


class DocumentBatchStatusResult(Model):
    """How far a batch is."""

    batch_id: str
    status: WorkStatus = WorkStatus.PENDING
    total_documents: Count = 0
    confirmed_documents: Count = 0
    processed_documents: Count = 0
    failed_documents: Count = 0
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None
    documents: Rows[DocumentBatchItem] = rows("documents", "items")


class DocumentQuotaCheck(Model):
    """What may be uploaded; -1 stands for a limit that there is not, or that the server does not name.

    Servers count either documents and bytes in all, or documents of this month; the fields of both are here, those of
    documents filled from either.
    """

    can_proceed: Flag = True
    document_count: Count = Field(
        default=0, validation_alias=either("document_count", "current_usage")
    )
    document_limit: Limit = Field(
        default=NO_LIMIT, validation_alias=either("document_limit", "monthly_limit")
    )
    storage_used_bytes: Count = 0
    storage_limit_bytes: Limit = NO_LIMIT
    message: Text = ""
    requested: int | None = None
    available: int | None = None

    @property
    def monthly_limit(self) -> int:
        """The same as `document_limit`, as the specification calls it."""
        return self.document_limit

    @property
    def current_usage(self) -> int:
        """The same as `document_count`, as the specification calls it."""
        return self.document_count

    @property
    def documents_remaining(self) -> int:
        """Documents that may still be uploaded; -1 for any number."""
        if self.available is not None:
            return self.available
        return _remaining(self.document_limit, self.document_count)

    @property
    def storage_remaining_bytes(self) -> int:
        """Bytes that may still be stored; -1 for any number."""
        return _remaining(self.storage_limit_bytes, self.storage_used_bytes)


def _remaining(limit: int, used: int) -> int:
    return NO_LIMIT if limit < 0 else max(0, limit - used)
