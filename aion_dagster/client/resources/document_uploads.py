"""Uploads of documents, step by step: permission, confirmation, state, batches, quota."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.models.document_uploads import (
    DocumentBatchConfirmResult,
    DocumentBatchPrepareResult,
    DocumentBatchStatusResult,
    DocumentConfirmResult,
    DocumentFileInfo,
    DocumentPresignedUploadResult,
    DocumentQuotaCheck,
    DocumentStatusResult,
    DocumentUploadConfirmation,
)
from aion_dagster.client.resources.base import Resource, until
from aion_dagster.client.resources.document_sources import check_document_type, document_of
from aion_dagster.client.resources.document_storage import stored
from aion_dagster.client.resources.upload_sources import FileInput, Progress
from aion_dagster.client.retrying import Repeat

BATCH: Final = 100
"""Documents that one batch may hold."""

_KEY: Final = re.compile(r"[a-zA-Z0-9_\-.]{1,128}")


class DocumentUploadsResource(Resource):
    """The steps that an upload of documents consists of; `documents.upload` takes them all."""

    async def request_upload(
        self,
        filename: str,
        content_type: str,
        size_bytes: int,
        *,
        idempotency_key: str | None = None,
        storage_target: str | None = None,
    ) -> DocumentPresignedUploadResult:
        """Ask where a document may be sent.

        Args:
            filename: with the suffix of its kind.
            content_type: of PDF, DOCX, TXT or MD.
            size_bytes: 1 to 50 MiB.
            idempotency_key: 1 to 128 of a-z A-Z 0-9 _ - . by which the server recognises a repetition.
            storage_target: default, or custom for the tenant's own bucket.
        """
        _check(filename, content_type, size_bytes, idempotency_key)
        limits.check_word("storage_target", storage_target, limits.STORAGE_TARGETS)
        return await self._ask(
            DocumentPresignedUploadResult,
            "POST /document-uploads/request-presigned-url",
            body={
                "filename": filename,
                "content_type": content_type,
                "size_bytes": size_bytes,
                "idempotency_key": idempotency_key,
                "storage_target": storage_target,
            },
        )

    async def confirm_upload(
        self, object_key: str, size_bytes: int, content_type: str, *, checksum: str | None = None
    ) -> DocumentConfirmResult:
        """Say that a document was sent; its processing begins.

        Made twice it starts nothing twice: the second answer says `is_idempotent_retry`.
        """
        check_document_type(content_type)
        limits.check_number("size_bytes", size_bytes, 1, limits.DOCUMENT_BYTES)
        return await self._ask(
            DocumentConfirmResult,
            "POST /document-uploads/confirm",
            body={
                "object_key": object_key,
                "size_bytes": size_bytes,
                "content_type": content_type,
                "checksum": checksum,
            },
        )

    async def get_status(self, document_id: str) -> DocumentStatusResult:
        """How far the processing of a document is."""
        return await self._ask(
            DocumentStatusResult,
            "GET /document-uploads/{document_id}/status",
            ids={"document_id": document_id},
        )

    async def wait_for_processing(
        self, document_id: str, *, timeout: float | None = None
    ) -> DocumentStatusResult:
        """Look until a document is processed, or could not be.

        Raises:
            AionvisionTimeoutError: not over after `timeout` seconds (by default the client's `polling_timeout`);
                `last_result` is its state.
        """
        return await until(
            lambda: self.get_status(document_id),
            lambda state: state.is_over,
            self._runtime,
            what=f"processing of document {document_id}",
            interval=self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
        )

    async def quota_check(self, file_count: int = 1) -> DocumentQuotaCheck:
        """Whether so many documents, 1 or more, may be uploaded now."""
        limits.check_number("file_count", file_count, 1, float("inf"))
        return await self._ask(
            DocumentQuotaCheck,
            "GET /document-uploads/quota-check",
            query={"file_count": file_count},
        )

    async def batch_prepare(
        self,
        files: Sequence[DocumentFileInfo],
        *,
        additional_params: dict[str, Any] | None = None,
    ) -> DocumentBatchPrepareResult:
        """Ask where 1 to 100 documents may be sent.

        Args:
            files: what is going to be sent.
            additional_params: for the extraction of text (language, output_format, …).
        """
        limits.check_count("files", files, 1, BATCH)
        for file in files:
            _check(file.filename, file.content_type, file.size_bytes, file.idempotency_key)
            limits.check_word("storage_target", file.storage_target, limits.STORAGE_TARGETS)
        return await self._ask(
            DocumentBatchPrepareResult,
            "POST /document-uploads/batch-prepare",
            body={
                "files": [file.model_dump(exclude_none=True) for file in files],
                "additional_params": additional_params,
            },
        )

    async def batch_confirm(
        self, batch_id: str, confirmations: Sequence[DocumentUploadConfirmation]
    ) -> DocumentBatchConfirmResult:
        """Say which documents of a batch were sent; their processing begins.

        Not said again after a lost answer: `batch_status` tells whether it arrived.
        """
        limits.check_count("confirmations", confirmations, 1, BATCH)
        for confirmation in confirmations:
            limits.check_number(
                "confirmations.file_size", confirmation.file_size, 1, limits.DOCUMENT_BYTES
            )
        return await self._ask(
            DocumentBatchConfirmResult,
            "POST /document-uploads/batch-confirm",
            body={
                "batch_id": batch_id,
                "confirmations": [each.model_dump(exclude_none=True) for each in confirmations],
            },
            repeat=Repeat.ANSWERED,
        )

    async def batch_status(self, batch_id: str) -> DocumentBatchStatusResult:
        """How far a batch is."""
        return await self._ask(
            DocumentBatchStatusResult,
            "GET /document-uploads/batch/{batch_id}/status",
            ids={"batch_id": batch_id},
        )

    async def send_presigned(
        self,
        presigned: DocumentPresignedUploadResult,
        file: FileInput,
        *,
        filename: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Send a file to the place that the server named, piece by piece and without the key.

        Raises:
            ValidationError: it is larger than the server allows.
            UploadError: the storage refused it.
            AionvisionError: the storage failed, or was not reached.
        """
        await stored(self._transport, document_of(file, filename), presigned, on_progress)


def _check(filename: str, content_type: str, size_bytes: int, key: str | None) -> None:
    limits.check_text("filename", filename, limits.TITLE, 1)
    check_document_type(content_type)
    limits.check_number("size_bytes", size_bytes, 1, limits.DOCUMENT_BYTES)
    if key is not None and not _KEY.fullmatch(key):
        raise limits.refuse("idempotency_key", f"{key!r} is not 1 to 128 of a-z A-Z 0-9 _ - .")
