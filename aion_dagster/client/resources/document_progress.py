"""An upload of many documents while it is under way: what each came to so far, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aion_dagster.client.errors import (
    AionvisionError,
    AionvisionPermissionError,
    AuthenticationError,
    ValidationError,
)
from aion_dagster.client.models.document_results import (
    DocumentFileCompleteEvent,
    DocumentProcessingFailedEvent,
    DocumentProcessingProgressEvent,
    DocumentUploadResult,
)
from aion_dagster.client.models.document_uploads import DocumentBatchItem
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.models.upload_results import UploadProgressEvent
from aion_dagster.client.resources.upload_sources import Source

HOPELESS = (AuthenticationError, AionvisionPermissionError, ValidationError)
"""Errors that the same request would meet again."""


@dataclass(slots=True)
class SentDocument:
    """A document that is sent once, for one or several of the files.

    Args:
        source: its bytes.
        key: by which the server recognises it.
        indexes: the files that it stands for.
        result: what it came to so far.
        alone: whether it was sent outside its batch.
        begun: whether the server may have begun to process it, which it does when it is told that the file is stored.
    """

    source: Source
    key: str
    indexes: list[int]
    result: DocumentUploadResult
    alone: bool = False
    begun: bool = False

    def fail(self, error: AionvisionError) -> None:
        """It was not taken."""
        self.result = self.result.model_copy(
            update={
                "status": WorkStatus.FAILED,
                "error": error.message,
                "is_retryable": not isinstance(error, HOPELESS),
                "is_begun": self.begun,
            }
        )

    def take(self, item: DocumentBatchItem) -> None:
        """The server has it."""
        self.result = self.result.model_copy(
            update={
                "document_id": item.document_id,
                "filename": item.filename or self.source.name,
                "object_key": item.object_key,
                "document_type": item.document_type,
                "status": item.text_extraction_status or WorkStatus.PENDING,
            }
        )


@dataclass(slots=True)
class SentBatch:
    """Documents that the server keeps together."""

    batch_id: str
    documents: list[SentDocument] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """Who hears of what happens to `total` files."""

    total: int
    on_progress: Callable[[UploadProgressEvent], None] | None = None
    on_file_complete: Callable[[DocumentFileCompleteEvent], None] | None = None
    on_processing_progress: Callable[[DocumentProcessingProgressEvent], None] | None = None
    on_processing_failed: Callable[[DocumentProcessingFailedEvent], None] | None = None
    _over: int = 0

    def bytes_of(self, document: SentDocument) -> Callable[[int, int], None] | None:
        """What hears of a document's bytes."""
        hears = self.on_progress
        if hears is None:
            return None

        def told(sent: int, total: int) -> None:
            for index in document.indexes:
                hears(UploadProgressEvent(index, sent, total, document.source.name))

        return told

    def complete(self, document: SentDocument) -> None:
        """The server has taken, or refused, a document; nothing may happen to it any more."""
        if self.on_file_complete is not None:
            for index in document.indexes:
                self.on_file_complete(DocumentFileCompleteEvent(index, document.result))
        if not document.result.is_pending:
            self.over(document)

    def over(self, document: SentDocument) -> None:
        """A document is processed, or never will be."""
        for index in document.indexes:
            self._over += 1
            if document.result.is_failed and self.on_processing_failed is not None:
                self.on_processing_failed(DocumentProcessingFailedEvent(index, document.result))
            if self.on_processing_progress is not None:
                self.on_processing_progress(
                    DocumentProcessingProgressEvent(self._over, self.total, document.result)
                )
