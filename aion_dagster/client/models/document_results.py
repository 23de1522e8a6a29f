"""What an upload of documents comes to: one result per file, and what is told while it is under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from aion_dagster.client.errors import DocumentProcessingError
from aion_dagster.client.models.base import Model
from aion_dagster.client.models.document_uploads import DocumentConfirmResult, DocumentStatusResult
from aion_dagster.client.models.statuses import WorkStatus


class DocumentUploadResult(Model):
    """A document that was sent.

    `document_id` is empty where the server did not take the file; `error` says why then, and `is_begun` whether the
    server may have begun to process it all the same.
    """

    document_id: str
    filename: str = ""
    status: WorkStatus = WorkStatus.PENDING
    page_count: int | None = None
    chunk_count: int | None = None
    object_key: str = ""
    document_type: str | None = None
    deduplicated: bool = False
    is_idempotent_retry: bool = False
    error: str | None = None
    is_retryable: bool = False
    is_begun: bool = True

    @property
    def is_completed(self) -> bool:
        """Whether its text can be searched and read."""
        return self.status.is_success

    @property
    def is_failed(self) -> bool:
        """Whether it was not taken, or could not be processed."""
        return self.status.is_failure

    @property
    def is_pending(self) -> bool:
        """Whether it is still being processed."""
        return not self.status.is_over

    @classmethod
    def of(cls, confirmed: DocumentConfirmResult, filename: str) -> DocumentUploadResult:
        """The result of an upload that was confirmed."""
        return cls(
            document_id=confirmed.document_id,
            filename=confirmed.filename or filename,
            status=confirmed.status,
            object_key=confirmed.object_key,
            document_type=confirmed.document_type,
            deduplicated=confirmed.deduplicated,
            is_idempotent_retry=confirmed.is_idempotent_retry,
        )

    def processed(self, state: DocumentStatusResult) -> DocumentUploadResult:
        """The result with what its state says."""
        status = state.text_extraction_status or self.status
        return self.model_copy(
            update={
                "status": status,
                "filename": self.filename or state.filename,
                "document_type": state.document_type or self.document_type,
                "page_count": state.page_count,
                "chunk_count": state.chunk_count,
                "error": state.error_message if status.is_failure else None,
            }
        )

    def failure(self) -> DocumentProcessingError:
        """The error that says so."""
        return DocumentProcessingError(
            f"{self.filename} could not be processed: {self.error or 'no reason given'}",
            code="DOCUMENT_PROCESSING_FAILED",
            details={
                "document_id": self.document_id,
                "filename": self.filename,
                "status": self.status.value,
                "error": self.error,
            },
        )


class BatchDocumentUploadResults(list[DocumentUploadResult]):
    """The results of an upload of several documents, in the order of the files.

    Attributes:
        batch_ids: the batches that the server kept them in.
    """

    def __init__(
        self, results: Iterable[DocumentUploadResult] = (), *, batch_ids: Iterable[str] = ()
    ) -> None:
        """A list of results."""
        super().__init__(results)
        self.batch_ids = list(batch_ids)

    @property
    def has_failures(self) -> bool:
        """Whether any failed."""
        return any(r.is_failed for r in self)

    @property
    def succeeded_count(self) -> int:
        """How many are processed."""
        return len(self.succeeded())

    @property
    def failed_count(self) -> int:
        """How many failed."""
        return len(self.failed())

    @property
    def pending_count(self) -> int:
        """How many are still being processed."""
        return len(self.pending())

    def succeeded(self) -> list[DocumentUploadResult]:
        """Those that are processed."""
        return [r for r in self if r.is_completed]

    def failed(self) -> list[DocumentUploadResult]:
        """Those that failed."""
        return [r for r in self if r.is_failed]

    def pending(self) -> list[DocumentUploadResult]:
        """Those that are still being processed."""
        return [r for r in self if r.is_pending]

    def retryable(self) -> list[DocumentUploadResult]:
        """Those that failed and may succeed when sent again."""
        return [r for r in self if r.is_failed and r.is_retryable]

    def raise_on_failures(self) -> Self:
        """The results themselves, for chaining.

        Raises:
            DocumentProcessingError: any failed; `details["failed"]` names each with its error.
        """
        failed = self.failed()
        if failed:
            raise DocumentProcessingError(
                f"{len(failed)} of {len(self)} documents could not be processed; "
                f"{failed[0].filename}: {failed[0].error or 'no reason given'}",
                code="DOCUMENT_PROCESSING_FAILED",
                details={"failed": [r.failure().details for r in failed]},
            )
        return self

    def summary(self) -> str:
        """In words: `3 succeeded, 1 failed (1 retryable)`."""
        parts = [f"{self.succeeded_count} succeeded", f"{self.failed_count} failed"]
        if retryable := len(self.retryable()):
            parts[-1] += f" ({retryable} retryable)"
        if self.pending_count:
            parts.append(f"{self.pending_count} pending")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class DocumentFileCompleteEvent:
    """The server has taken, or refused, a file."""

    file_index: int
    result: DocumentUploadResult


@dataclass(frozen=True, slots=True)
class DocumentProcessingProgressEvent:
    """One more document is processed (or never will be)."""

    completed_count: int
    total_count: int
    latest_result: DocumentUploadResult

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        return 100.0 * self.completed_count / self.total_count if self.total_count else 100.0

    @property
    def remaining_count(self) -> int:
        """How many are still awaited."""
        return self.total_count - self.completed_count


@dataclass(frozen=True, slots=True)
class DocumentProcessingFailedEvent:
    """A file was not taken, or could not be processed."""

    file_index: int
    result: DocumentUploadResult

    @property
    def error_message(self) -> str | None:
        """Why."""
        return self.result.error

    @property
    def is_retryable(self) -> bool:
        """Whether it may succeed when sent again."""
        return self.result.is_retryable
