"""Upload sessions: what the server makes of the files of one batch."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from aion_dagster.client.models.base import (
    JsonMapping,
    Model,
    OpenEnum,
    Rows,
    UtcDatetime,
    either,
    rows,
)
from aion_dagster.client.models.nulls import Count, Flag, Text
from aion_dagster.client.models.uploads import ItemStatus


class UploadSessionState(OpenEnum):
    """How far a session is; the sources name different words for its end."""

    PENDING = "pending"
    UPLOADING = "uploading"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PARTIAL = "partial"
    PARTIALLY_COMPLETED = "partially_completed"
    REJECTED = "rejected"


_UNDER_WAY: Final = frozenset(
    {UploadSessionState.PENDING, UploadSessionState.UPLOADING, UploadSessionState.PROCESSING}
)


def is_over(state: UploadSessionState) -> bool:
    """Whether a session has ended; a word that nobody told us of has not."""
    return state.is_known and state not in _UNDER_WAY


class FileResultSummary(Model):
    """A file that was finished lately; the description is cut short."""

    filename: Text = ""
    image_id: Text = ""
    status: ItemStatus = ItemStatus.PROCESSING
    description: str | None = None
    processing_time_ms: float | None = None
    error_message: str | None = Field(None, validation_alias=either("error_message", "error"))


class FileErrorSummary(Model):
    """A file that failed lately."""

    filename: Text = ""
    index: int | None = None
    error: Text = Field("", validation_alias=either("error", "error_message"))
    retryable: Flag = False


class UploadSessionStatus(Model):
    """How far a session is, and what happened lately."""

    session_id: str = Field(validation_alias=either("session_id", "id"))
    status: UploadSessionState = UploadSessionState.PENDING
    total_files: Count = 0
    completed_files: Count = 0
    failed_files: Count = 0
    skipped_files: Count = 0
    pending_files: Count = 0
    progress_percentage: float = 0.0
    created_at: UtcDatetime | None = None
    started_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    estimated_completion_time: UtcDatetime | None = None
    recent_completions: Rows[FileResultSummary] = rows("recent_completions")
    recent_errors: Rows[FileErrorSummary] = rows("recent_errors")
    results_url: Text = ""
    websocket_channel: Text = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return is_over(self.status)


class UploadSessionItem(Model):
    """What became of one file of a session; its name is its only key."""

    image_id: Text = ""
    filename: Text = ""
    object_key: Text = ""
    status: ItemStatus = ItemStatus.PROCESSING
    description: str | None = None
    visible_text: str | None = None
    tags: Rows[str] = rows("tags")
    processing_time_ms: float | None = None
    error_message: str | None = Field(None, validation_alias=either("error_message", "error"))
    thumbnail_url: str | None = None
    created_at: UtcDatetime | None = None
    skipped_existing_image_id: str | None = None

    @property
    def stored_id(self) -> str:
        """The picture that holds the file's content: the one that was there before, where it was skipped."""
        return self.skipped_existing_image_id or self.image_id


class UploadSessionResults(Model):
    """A page of what became of the files of a session."""

    session_id: Text = ""
    results: Rows[UploadSessionItem] = rows("results", "items", "files")
    total_count: Count = Field(0, validation_alias=either("total_count", "total"))
    offset: Count = 0
    limit: Count = 0
    has_more: Flag = False
    summary: JsonMapping = Field(default_factory=dict)


class UploadSessionListItem(Model):
    """A session in a list."""

    session_id: str = Field(validation_alias=either("session_id", "id"))
    status: UploadSessionState = UploadSessionState.PENDING
    upload_method: Text = ""
    total_files: Count = 0
    completed_files: Count = 0
    failed_files: Count = 0
    skipped_files: Count = 0
    progress_percentage: float = 0.0
    created_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None


class UploadSessionList(Model):
    """A page of sessions, the newest first."""

    sessions: Rows[UploadSessionListItem] = rows("sessions", "items")
    total_count: Count = Field(0, validation_alias=either("total_count", "total"))
    offset: Count = 0
    limit: Count = 0
    has_more: Flag = False
