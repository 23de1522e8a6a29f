"""Batch operations: descriptions of many pictures in one job."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from aion_dagster.client.models.base import (
    Model,
    OpenEnum,
    Rows,
    UtcDatetime,
    either,
    rows,
)
from aion_dagster.client.models.nulls import Count, Flag, Text


class BatchStatus(OpenEnum):
    """How far a batch is; the sources name different words for an end in parts."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIALLY_COMPLETED = "partially_completed"
    PARTIAL = "partial"
    EXPIRED = "expired"
    REJECTED = "rejected"


_UNDER_WAY: Final = frozenset({BatchStatus.PENDING, BatchStatus.PROCESSING})


class BatchItemStatus(OpenEnum):
    """What became of an item; servers also say completed for success."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"

    @classmethod
    def _missing_(cls, value: object) -> BatchItemStatus | None:
        if isinstance(value, str) and value.lower() in ("completed", "succeeded"):
            return cls.SUCCESS
        return super()._missing_(value)


class BatchImageInput(Model):
    """A picture to describe: exactly one of the first three."""

    image_url: str | None = None
    image_base64: str | None = None
    object_key: str | None = None
    metadata: dict[str, Any] | None = None


class BatchSubmissionResult(Model):
    """A batch that the server has taken."""

    batch_id: str
    status: BatchStatus = BatchStatus.PENDING
    total_items: Count = 0
    processed_items: Count = 0
    failed_items: Count = 0
    created_at: UtcDatetime | None = None
    estimated_completion_time: UtcDatetime | None = None


class BatchStatusResult(Model):
    """How far a batch is."""

    batch_id: str
    status: BatchStatus = BatchStatus.PENDING
    total_items: Count = 0
    processed_items: Count = 0
    successful_items: Count = 0
    failed_items: Count = 0
    success_rate: float = 0.0
    progress_percentage: float = 0.0
    created_at: UtcDatetime | None = None
    started_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    estimated_completion_time: UtcDatetime | None = None
    avg_processing_time_ms: int | None = None

    def is_terminal(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status.is_known and self.status not in _UNDER_WAY


class BatchItemResult(Model):
    """What became of one item."""

    item_id: Text = Field("", validation_alias=either("item_id", "id"))
    item_index: Count = 0
    status: BatchItemStatus = BatchItemStatus.PENDING
    input_data: dict[str, Any] | None = None
    output_data: dict[str, Any] | None = None
    error_message: str | None = Field(None, validation_alias=either("error_message", "error"))
    processing_time_ms: int | None = None
    stored_image_url: str | None = None

    @property
    def description(self) -> str | None:
        """The description, where there is one."""
        value = (self.output_data or {}).get("description")
        return value if isinstance(value, str) else None

    @property
    def confidence_score(self) -> float | None:
        """How sure the model is, 0 to 1."""
        value = (self.output_data or {}).get("confidence_score")
        return float(value) if isinstance(value, int | float) else None


class BatchResultsPagination(Model):
    """Where a page of results stands."""

    offset: Count = 0
    limit: Count = 0
    total: Count = Field(0, validation_alias=either("total", "total_count"))
    has_more: Flag = False


class BatchResultsSummary(Model):
    """A batch in numbers."""

    total_items: Count = Field(0, validation_alias=either("total_items", "total"))
    successful_items: Count = Field(
        0, validation_alias=either("successful_items", "successful", "completed")
    )
    failed_items: Count = Field(0, validation_alias=either("failed_items", "failed"))
    skipped_items: Count = Field(0, validation_alias=either("skipped_items", "skipped"))
    processing_items: Count = Field(0, validation_alias=either("processing_items", "processing"))
    processing_time_ms: float | None = None


class BatchResults(Model):
    """A page of what became of the items."""

    batch_id: str
    status: BatchStatus = BatchStatus.PENDING
    results: Rows[BatchItemResult] = rows("results", "items")
    pagination: BatchResultsPagination = Field(default_factory=BatchResultsPagination)
    summary: BatchResultsSummary = Field(default_factory=BatchResultsSummary)

    def successful_results(self) -> list[BatchItemResult]:
        """Those of this page that ended well."""
        return [item for item in self.results if item.status is BatchItemStatus.SUCCESS]

    def failed_results(self) -> list[BatchItemResult]:
        """Those of this page that failed."""
        return [item for item in self.results if item.status is BatchItemStatus.FAILED]
