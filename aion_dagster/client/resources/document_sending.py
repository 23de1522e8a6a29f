"""Sending documents from a file to its text: permission, storage, confirmation, processing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aion_dagster.client.errors import AionvisionError, AionvisionTimeoutError, UploadError
from aion_dagster.client.models.document_results import (
    BatchDocumentUploadResults,
    DocumentFileCompleteEvent,
    DocumentProcessingFailedEvent,
    DocumentProcessingProgressEvent,
    DocumentUploadResult,
)
from aion_dagster.client.models.upload_results import UploadProgressEvent
from aion_dagster.client.resources.document_batches import DocumentBatches
from aion_dagster.client.resources.document_listing import DocumentListing
from aion_dagster.client.resources.document_progress import Told
from aion_dagster.client.resources.document_single import SingleSending
from aion_dagster.client.resources.document_sources import (
    document_of,
    documents_of,
    idempotency_key,
)
from aion_dagster.client.resources.document_waiting import DocumentWaiting
from aion_dagster.client.resources.upload_sources import FileInput


class DocumentSending(DocumentListing):
    """Whole uploads of documents."""

    async def upload_one(
        self,
        file: FileInput,
        *,
        filename: str | None = None,
        wait_for_processing: bool = True,
        raise_on_failure: bool = True,
        processing_timeout: float | None = None,
        storage_target: str | None = None,
        on_progress: Callable[[UploadProgressEvent], None] | None = None,
    ) -> DocumentUploadResult:
        """Send a document and wait for its text.

        The same content under the same name is recognised by the server (`is_idempotent_retry`, `deduplicated`), so a
        repetition after a crash makes no second document.

        Args:
            file: path, bytes, or an open file: PDF, DOCX, TXT or MD, at most 50 MiB.
            filename: the name to send; bytes need one, with the suffix of their kind.
            wait_for_processing: until its text was extracted, or could not be.
            raise_on_failure: an error where it could not be.
            processing_timeout: seconds to wait; by default the client's `polling_timeout`.
            storage_target: default, or custom for the tenant's own bucket.
            on_progress: hears of bytes on their way; begins at 0 again where a request is repeated.

        Raises:
            ValidationError: the file is not there, empty, too large or of another kind.
            UploadError: the storage refused it, or its state could not be looked at (`partial_results` holds it).
            DocumentProcessingError: it could not be processed.
            AionvisionTimeoutError: not over after the timeout; `last_result` is its state.
        """
        source = document_of(file, filename)
        key = await self._runtime.aside(functools.partial(idempotency_key, source, storage_target))

        def told(sent: int, total: int) -> None:
            if on_progress is not None:
                on_progress(UploadProgressEvent(0, sent, total, source.name))

        sending = SingleSending(self, self._transport, storage_target)
        confirmed = await sending.send(source, key, told)
        result = DocumentUploadResult.of(confirmed, source.name)
        if wait_for_processing:
            with _kept([result]):
                result = result.processed(
                    await self.wait_for_processing(result.document_id, timeout=processing_timeout)
                )
        if raise_on_failure and result.is_failed:
            raise result.failure()
        return result

    async def upload(
        self,
        files: FileInput | Sequence[FileInput],
        *,
        filenames: Sequence[str] | None = None,
        recursive: bool = True,
        wait_for_processing: bool = True,
        on_progress: Callable[[UploadProgressEvent], None] | None = None,
        on_file_complete: Callable[[DocumentFileCompleteEvent], None] | None = None,
        on_processing_progress: Callable[[DocumentProcessingProgressEvent], None] | None = None,
        on_processing_failed: Callable[[DocumentProcessingFailedEvent], None] | None = None,
        storage_target: str | None = None,
        include_hidden: bool = False,
        raise_on_failure: bool = False,
        processing_timeout: float | None = None,
    ) -> BatchDocumentUploadResults:
        """Send documents in batches of 100 and wait for their text; one result per file, in the order of the files.

        A file that was not taken, or could not be processed, is a failed result; one that is not over after
        `processing_timeout` seconds is a pending one. The same content under the same name is sent once. The blocking
        client calls `on_progress` from several threads.

        Args:
            files: paths, bytes, open files, or folders, of which the documents are taken.
            filenames: names to send, as many as files.
            recursive: folders within folders too.
            wait_for_processing: until all texts were extracted, or could not be.
            on_progress: hears of bytes on their way.
            on_file_complete: hears of every file that the server took or refused.
            on_processing_progress: hears of every document that is over.
            on_processing_failed: hears of every file that failed.
            storage_target: default, or custom for the tenant's own bucket.
            include_hidden: files and folders whose names begin with a dot, too.
            raise_on_failure: an error at the end where any failed.
            processing_timeout: seconds to wait for all; by default the client's `polling_timeout`.

        Raises:
            ValidationError: a file is not there, empty, too large or of another kind; nothing was sent then.
            QuotaExceededError: no more may be uploaded; `partial_results` holds what was.
            UploadError: their state could not be looked at; `partial_results` holds what was sent.
            DocumentProcessingError: see `raise_on_failure`.
        """
        sources = documents_of(files, filenames, recursive=recursive, include_hidden=include_hidden)
        told = Told(
            len(sources),
            on_progress,
            on_file_complete,
            on_processing_progress,
            on_processing_failed,
        )
        sending = DocumentBatches(self, self._transport, storage_target, told)
        await sending.send(sources)
        if wait_for_processing:
            timeout = (
                self._config.polling_timeout if processing_timeout is None else processing_timeout
            )
            with _kept(sending.results()):
                await DocumentWaiting(self, self._transport, told).wait(sending.batches, timeout)
        results = BatchDocumentUploadResults(
            sending.results(), batch_ids=[batch.batch_id for batch in sending.batches]
        )
        return results.raise_on_failures() if raise_on_failure else results


@contextmanager
def _kept(sent: list[DocumentUploadResult]) -> Iterator[None]:
    """Have an error while waiting say what was sent, so that it need not be sent again."""
    try:
        yield
    except AionvisionError as error:
        if isinstance(error, AionvisionTimeoutError) and error.code == "POLLING_TIMEOUT":
            raise
        raise UploadError(
            f"sent, but the state could not be looked at: {error.message}",
            code=error.code,
            request_id=error.request_id,
            status=error.status,
            partial_results=sent,
        ) from error
