"""Uploads: answers to files that are sent, quota, duplicates, states of single uploads."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Flag, Text
from aion_dagster.client.models.upload_results import (
    BatchUploadResults,
    DescriptionErrorType,
    DescriptionFailedEvent,
    DescriptionProgressEvent,
    DescriptionStatus,
    FileCompleteEvent,
    UploadProgressEvent,
    UploadResult,
)

__all__ = [
    "BatchUploadResults",
    "ComponentStatuses",
    "DescriptionErrorType",
    "DescriptionFailedEvent",
    "DescriptionProgressEvent",
    "DescriptionStatus",
    "DuplicateCheckResult",
    "FileCompleteEvent",
    "FileRejection",
    "ItemStatus",
    "QuotaInfo",
    "StorageTarget",
    "StreamBatchFileResult",
    "StreamBatchResult",
    "StreamingUploadResult",
    "StuckUploads",
    "UnifiedImageStatus",
    "UploadProgressEvent",
    "UploadResult",
]

UNLIMITED: Final = -1
"""`monthly_limit` of a plan without one."""

_BATCH_SIZES: Final = ((1_000, 10), (10_000, 20), (50_000, 20))
"""Monthly uploads of a plan, and the smaller figure of its files per batch that the sources name."""

_LARGEST_PLAN: Final = 50
_AT_ONCE: Final = 2
_MOST_AT_ONCE: Final = 8


class StorageTarget(OpenEnum):
    """Where a file is stored: with the vendor, or in the tenant's own S3 bucket."""

    DEFAULT = "default"
    CUSTOM = "custom"


class ItemStatus(OpenEnum):
    """What became of a file; servers also say success for completed."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @classmethod
    def _missing_(cls, value: object) -> ItemStatus | None:
        if isinstance(value, str) and value.lower() in ("success", "succeeded"):
            return cls.COMPLETED
        return super()._missing_(value)


def _unlimited(value: Any) -> Any:
    return UNLIMITED if value is None else value


class QuotaInfo(Model):
    """What may be uploaded; `monthly_limit` -1 is a plan without one."""

    can_proceed: bool = True
    requested: Count = 0
    available: Annotated[int, BeforeValidator(_unlimited)] = 0
    monthly_limit: Annotated[int, BeforeValidator(_unlimited)] = 0
    current_usage: Count = 0
    message: str | None = None
    max_batch_size: int | None = None
    max_concurrent_uploads: int | None = None
    prepaid_credits: int | None = None

    @property
    def batch_size(self) -> int:
        """Files that one request may hold: as the server says, else the smaller figure of the plan."""
        if self.max_batch_size and self.max_batch_size > 0:
            return self.max_batch_size
        limit = self.monthly_limit
        sizes = (size for most, size in _BATCH_SIZES if 0 <= limit <= most)
        return next(sizes, _LARGEST_PLAN)

    @property
    def at_once(self) -> int:
        """Uploads that may run side by side, 1 to 8."""
        return max(1, min(self.max_concurrent_uploads or _AT_ONCE, _MOST_AT_ONCE))


class StreamingUploadResult(Model):
    """The answer to one file."""

    image_id: str
    object_key: Text = ""
    upload_method: Text = ""
    status: ItemStatus = ItemStatus.PROCESSING
    processing_time_ms: float | None = None
    s3_upload_completed: Flag = False
    variants_queued: Flag = False
    description_queued: Flag = False
    skipped: Flag = False
    skipped_existing_image_id: str | None = None
    storage_target: str = "default"
    media_type: str | None = None
    document_type: str | None = None
    text_extraction_status: str | None = None

    @property
    def stored_id(self) -> str:
        """The picture that holds the file's content: the one that was there before, where it was skipped."""
        return self.skipped_existing_image_id or self.image_id


class StreamBatchFileResult(Model):
    """What became of one file of a small batch."""

    image_id: Text = ""
    filename: Text = ""
    object_key: Text = ""
    status: ItemStatus = ItemStatus.PROCESSING
    processing_time_ms: float | None = None
    skipped: Flag = False
    skipped_existing_image_id: str | None = None
    error: str | None = Field(None, validation_alias=either("error", "error_message"))
    storage_target: str = "default"
    media_type: str | None = None
    document_type: str | None = None
    text_extraction_status: str | None = None

    @property
    def stored_id(self) -> str:
        """The picture that holds the file's content: the one that was there before, where it was skipped."""
        return self.skipped_existing_image_id or self.image_id


class FileRejection(Model):
    """A file that the server did not take; `index` counts from 0 in the order sent."""

    filename: Text = ""
    index: int | None = None
    reason: Text = Field("", validation_alias=either("reason", "error"))
    retryable: Flag = False


class StreamBatchResult(Model):
    """The answer to several files: a session, and what became of each where they are few (null otherwise)."""

    session_id: str
    total_files: Count = 0
    accepted_files: Count = 0
    rejected_files: Count = 0
    status: Text = ""
    immediate_results: list[StreamBatchFileResult] | None = None
    status_url: Text = ""
    websocket_channel: Text = ""
    rejections: Rows[FileRejection] = rows("rejections")


class DuplicateCheckResult(Model):
    """Which of the hashes belong to files that are there already."""

    duplicates: Rows[str] = rows("duplicates")
    unique: Rows[str] = rows("unique")


class ComponentStatuses(Model):
    """The parts that an upload's state is made from."""

    variant_status: str | None = None
    description_status: str | None = None
    upload_intent_status: str | None = None
    task_intent_status: str | None = None


_OVER: Final = frozenset({"completed", "failed", "partially_completed", "partial"})


class UnifiedImageStatus(Model):
    """The state of one upload, from all parts of the server."""

    image_id: str
    tenant_id: Text = ""
    batch_id: str | None = None
    unified_status: Text = Field("", validation_alias=either("unified_status", "status"))
    component_statuses: ComponentStatuses = Field(default_factory=ComponentStatuses)
    task_intent_ids: Rows[str] = rows("task_intent_ids")
    error_message: str | None = None
    last_error_at: UtcDatetime | None = None
    created_at: UtcDatetime | None = None
    last_updated_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    retry_count: Count = 0
    processing_duration_seconds: float | None = None
    is_stuck: Flag = False
    is_terminal: Flag = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.is_terminal or self.unified_status in _OVER


class StuckUploads(Model):
    """Uploads that have not moved for a while."""

    stuck_count: Count = 0
    images: Rows[UnifiedImageStatus] = rows("images")
