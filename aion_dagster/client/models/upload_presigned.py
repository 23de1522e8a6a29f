"""Uploads straight into storage: permission, confirmation, batches of both."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from aion_dagster.client.models.base import JsonMapping, Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Text


class PresignedUrlInfo(Model):
    """Where a file may be sent, and how; the URL needs no key and lives for some minutes."""

    upload_url: str
    upload_method: str = "PUT"
    upload_headers: JsonMapping = Field(default_factory=dict)
    upload_fields: JsonMapping = Field(default_factory=dict)
    object_key: Text = ""
    image_id: str | None = None
    expires_at: UtcDatetime | None = None
    max_size_bytes: int | None = None
    storage_target: str | None = None
    bucket_name: str | None = None
    thumbnail_url: str | None = None
    variant_urls: JsonMapping = Field(default_factory=dict)


class ConfirmResult(Model):
    """The server has found the file in storage."""

    upload_id: Text = Field("", validation_alias=either("upload_id", "image_id", "id"))
    object_key: Text = ""
    storage_path: Text = ""
    confirmed: bool = True
    image_id: str | None = Field(None, validation_alias=either("image_id", "upload_id", "id"))
    description_status: str | None = None
    title: str | None = None
    tags: Rows[str] = rows("tags")


class FileInfo(Model):
    """A file that is going to be sent into storage."""

    filename: str
    size_bytes: int
    content_type: str
    idempotency_key: str | None = None


class UploadConfirmation(Model):
    """What became of one file that was sent into storage."""

    object_key: str
    success: bool
    file_size: int
    checksum: str | None = None
    error_message: str | None = None


class UploadPlan(Model):
    """How the server wants the files of a batch to be sent."""

    strategy: Text = ""
    max_concurrent: Count = 1
    timeout_per_upload: Count = 0
    retry_policy: JsonMapping = Field(default_factory=dict)


class BatchPresignedUrl(PresignedUrlInfo):
    """Where one file of a batch may be sent."""

    file_index: Count = 0
    filename: Text = ""
    upload_intent_id: str | None = None


class BatchPrepareResult(Model):
    """Where the files of a batch may be sent."""

    batch_id: str
    upload_plan: UploadPlan = Field(default_factory=UploadPlan)
    presigned_urls: Rows[BatchPresignedUrl] = rows("presigned_urls", "files")
    total_size_bytes: Count = 0
    estimated_time_seconds: Count = 0
    expires_at: UtcDatetime | None = None


class StoredImage(Model):
    """A picture of a batch that the server has found in storage."""

    image_id: str
    object_key: Text = ""
    filename: Text = ""
    thumbnail_url: str | None = None
    variant_status: Text = ""
    created_at: UtcDatetime | None = None


class BatchConfirmResult(Model):
    """What the server found of a batch."""

    batch_id: str
    successful_uploads: Count = 0
    failed_uploads: Count = 0
    processing_status: Text = ""
    failed_files: Rows[str] = rows("failed_files")
    message: Text = ""
    stored_images: Rows[StoredImage] = rows("stored_images", "images")


class BatchStatusCounts(Model):
    """Uploads of a batch by state."""

    total: Count = 0
    uploading: Count = 0
    confirming: Count = 0
    queued: Count = 0
    processing: Count = 0
    completed: Count = 0
    failed: Count = 0
    partially_completed: Count = 0
    stuck: Count = 0


class BatchDescriptionCounts(Model):
    """Descriptions of a batch by state."""

    pending: Count = 0
    processing: Count = 0
    completed: Count = 0
    failed: Count = 0
    skipped: Count = 0


class BatchErrorSummary(Model):
    """What went wrong in a batch."""

    count: Count = 0
    messages: Rows[str] = rows("messages")


_OVER: Final = frozenset(
    {"completed", "failed", "partially_completed", "partial", "cancelled", "expired", "rejected"}
)


class UploadBatchStatusResult(Model):
    """How far a batch is."""

    batch_id: str
    tenant_id: Text = ""
    overall_status: Text = Field("", validation_alias=either("overall_status", "status"))
    completion_percentage: float = 0.0
    counts: BatchStatusCounts = Field(default_factory=BatchStatusCounts)
    description_counts: BatchDescriptionCounts = Field(default_factory=BatchDescriptionCounts)
    error_summary: BatchErrorSummary = Field(default_factory=BatchErrorSummary)
    created_at: UtcDatetime | None = None
    last_activity_at: UtcDatetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.overall_status in _OVER

    @property
    def total(self) -> int:
        """Uploads in the batch."""
        return self.counts.total

    @property
    def completed(self) -> int:
        """Uploads that ended well."""
        return self.counts.completed

    @property
    def failed(self) -> int:
        """Uploads that failed."""
        return self.counts.failed

    @property
    def processing(self) -> int:
        """Uploads that are worked on."""
        return self.counts.processing

    @property
    def queued(self) -> int:
        """Uploads that wait."""
        return self.counts.queued
