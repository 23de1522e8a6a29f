"""What an upload comes to: one result per file, and what is told while it is under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from aion_dagster.client.errors import DescriptionError
from aion_dagster.client.models.base import Model, OpenEnum, UtcDatetime


class DescriptionStatus(OpenEnum):
    """How far the description of a picture is."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class DescriptionErrorType(OpenEnum):
    """Why a file was not taken, or not described."""

    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    VLM_ERROR = "vlm_error"
    VALIDATION_ERROR = "validation"
    RESOURCE_LIMIT = "resource_limit"
    UNKNOWN = "unknown"


_RETRYABLE = frozenset(
    {DescriptionErrorType.TIMEOUT, DescriptionErrorType.RATE_LIMIT, DescriptionErrorType.VLM_ERROR}
)

_MARKS: tuple[tuple[DescriptionErrorType, tuple[str, ...]], ...] = (
    (DescriptionErrorType.RESOURCE_LIMIT, ("quota", "usage limit", "usage_limit", "credit", "402")),
    (DescriptionErrorType.RATE_LIMIT, ("rate limit", "rate_limit", "too many requests", "429")),
    (DescriptionErrorType.TIMEOUT, ("timeout", "timed out", "deadline")),
    (
        DescriptionErrorType.VALIDATION_ERROR,
        ("invalid", "unsupported", "corrupt", "validation", "too large", "cannot identify", "422"),
    ),
    (
        DescriptionErrorType.VLM_ERROR,
        ("vlm", "provider", "model", "image_processing_error", "ai analysis", "500", "502", "503"),
    ),
)


def classified(message: str) -> tuple[DescriptionErrorType, bool]:
    """The kind of an error and whether a repetition can help, from its words, where the server says no more."""
    words = message.lower()
    for kind, marks in _MARKS:
        if any(mark in words for mark in marks):
            return kind, kind in _RETRYABLE
    return DescriptionErrorType.UNKNOWN, False


class UploadResult(Model):
    """A file that was sent.

    `image_id` is empty where the server did not take the file; `description_error` says why then. Of a file that was
    skipped because its content is there already, `image_id` is the picture that is there.
    """

    image_id: str
    filename: str = ""
    object_key: str = ""
    description: str | None = None
    tags: list[str] | None = None
    visible_text: str | None = None
    confidence_score: float | None = None
    description_status: DescriptionStatus = DescriptionStatus.PENDING
    thumbnail_url: str | None = None
    created_at: UtcDatetime | None = None
    description_error: str | None = None
    description_error_type: str | None = None
    description_is_retryable: bool | None = None
    title: str | None = None
    skipped: bool = False
    session_id: str | None = None

    @property
    def is_failed(self) -> bool:
        """Whether there will be no description, because something failed."""
        return self.description_status is DescriptionStatus.FAILED

    @property
    def is_completed(self) -> bool:
        """Whether it is described."""
        return self.description_status is DescriptionStatus.COMPLETED

    @property
    def is_pending(self) -> bool:
        """Whether a description is on its way."""
        return not (
            self.is_failed
            or self.is_completed
            or self.description_status is DescriptionStatus.SKIPPED
        )

    @property
    def is_stored(self) -> bool:
        """Whether the server has the file."""
        return bool(self.image_id)


class BatchUploadResults(list[UploadResult]):
    """The results of an upload of several files, in the order of the files.

    Attributes:
        session_ids: the upload sessions that the server opened for them.
    """

    def __init__(
        self, results: Iterable[UploadResult] = (), *, session_ids: Iterable[str] = ()
    ) -> None:
        """A list of results."""
        super().__init__(results)
        self.session_ids = list(session_ids)

    @property
    def has_failures(self) -> bool:
        """Whether any failed."""
        return any(r.is_failed for r in self)

    @property
    def succeeded_count(self) -> int:
        """How many are described."""
        return len(self.succeeded())

    @property
    def failed_count(self) -> int:
        """How many failed."""
        return len(self.failed())

    @property
    def pending_count(self) -> int:
        """How many are still on their way."""
        return len(self.pending())

    def succeeded(self) -> list[UploadResult]:
        """Those that are described."""
        return [r for r in self if r.is_completed]

    def failed(self) -> list[UploadResult]:
        """Those that failed."""
        return [r for r in self if r.is_failed]

    def pending(self) -> list[UploadResult]:
        """Those that are still on their way."""
        return [r for r in self if r.is_pending]

    def retryable(self) -> list[UploadResult]:
        """Those that failed and may succeed when tried again."""
        return [r for r in self if r.is_failed and r.description_is_retryable]

    def raise_on_failures(self) -> Self:
        """The results themselves, for chaining.

        Raises:
            DescriptionError: any failed; `details["failed"]` names each with its error.
        """
        failed = self.failed()
        if failed:
            first = failed[0]
            raise DescriptionError(
                f"{len(failed)} of {len(self)} pictures were not described; "
                f"{first.filename}: {first.description_error or 'no reason given'}",
                code="DESCRIPTION_FAILED",
                details={"failed": [_complaint(r) for r in failed]},
            )
        return self

    def summary(self) -> str:
        """In words: `3 succeeded, 1 failed (1 retryable)`."""
        parts = [f"{self.succeeded_count} succeeded", f"{self.failed_count} failed"]
        if retryable := len(self.retryable()):
            parts[-1] += f" ({retryable} retryable)"
        if self.pending_count:
            parts.append(f"{self.pending_count} pending")
        if without := len(self) - self.succeeded_count - self.failed_count - self.pending_count:
            parts.append(f"{without} without description")
        return ", ".join(parts)


def _complaint(result: UploadResult) -> dict[str, Any]:
    return {
        "filename": result.filename,
        "image_id": result.image_id,
        "error": result.description_error,
        "retryable": bool(result.description_is_retryable),
    }


@dataclass(frozen=True, slots=True)
class UploadProgressEvent:
    """Bytes of a file are on their way; they begin at 0 again where a request is repeated."""

    file_index: int
    uploaded_bytes: int
    total_bytes: int
    filename: str | None = None

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        return 100.0 * self.uploaded_bytes / self.total_bytes if self.total_bytes else 100.0


@dataclass(frozen=True, slots=True)
class FileCompleteEvent:
    """The server has taken, or refused, a file."""

    file_index: int
    result: UploadResult


@dataclass(frozen=True, slots=True)
class DescriptionProgressEvent:
    """One more picture is described (or never will be)."""

    completed_count: int
    total_count: int
    latest_result: UploadResult

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        return 100.0 * self.completed_count / self.total_count if self.total_count else 100.0

    @property
    def remaining_count(self) -> int:
        """How many are still awaited."""
        return self.total_count - self.completed_count


@dataclass(frozen=True, slots=True)
class DescriptionFailedEvent:
    """A file was not taken, or not described."""

    file_index: int
    result: UploadResult

    @property
    def error_message(self) -> str | None:
        """Why."""
        return self.result.description_error

    @property
    def is_retryable(self) -> bool:
        """Whether it may succeed when tried again."""
        return bool(self.result.description_is_retryable)
