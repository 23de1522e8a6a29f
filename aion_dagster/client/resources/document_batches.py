"""Sending many documents: batches of 100, each prepared, stored and confirmed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    ConflictError,
    InvalidResponseError,
    QuotaExceededError,
)
from aion_dagster.client.models.document_results import DocumentUploadResult
from aion_dagster.client.models.document_uploads import (
    DocumentBatchItem,
    DocumentBatchPrepareResult,
    DocumentBatchPresignedUrl,
    DocumentFileInfo,
    DocumentUploadConfirmation,
)
from aion_dagster.client.resources.document_progress import (
    HOPELESS,
    SentBatch,
    SentDocument,
    Told,
)
from aion_dagster.client.resources.document_single import SingleSending
from aion_dagster.client.resources.document_sources import idempotency_key
from aion_dagster.client.resources.document_storage import stored
from aion_dagster.client.resources.document_uploads import BATCH, DocumentUploadsResource
from aion_dagster.client.resources.upload_sources import Source
from aion_dagster.client.transport import Transport

AT_ONCE: Final = 8
"""Documents that are stored at once, at most, whatever a server recommends."""

_LOST: Final = (
    ConflictError,
    AionvisionConnectionError,
    AionvisionTimeoutError,
    InvalidResponseError,
)
"""Errors after which a confirmation may have arrived."""


class DocumentBatches:
    """One upload.

    Attributes:
        batches: what the server has.
    """

    def __init__(
        self,
        resource: DocumentUploadsResource,
        transport: Transport,
        target: str | None,
        told: Told,
    ) -> None:
        """Send through `resource`, and files through `transport`, to the storage `target`."""
        self.batches: list[SentBatch] = []
        self._resource = resource
        self._transport = transport
        self._target = target
        self._told = told
        self._single = SingleSending(resource, transport, target)
        self._documents: dict[str, SentDocument] = {}

    def results(self) -> list[DocumentUploadResult]:
        """A result per file, in the order of the files."""
        by_index = {i: d.result for d in self._documents.values() for i in d.indexes}
        return [by_index[index] for index in sorted(by_index)]

    async def send(self, sources: Sequence[Source]) -> None:
        """Send all files.

        Raises:
            QuotaExceededError: no more may be uploaded; `partial_results` holds what was.
            AionvisionError: of a kind that every further batch would meet too.
        """
        documents = await self._keyed(sources)
        for start in range(0, len(documents), BATCH):
            group = documents[start : start + BATCH]
            try:
                await self._send_group(group)
            except QuotaExceededError as error:
                error.partial_results = [d.result for b in self.batches for d in b.documents]
                raise
            except HOPELESS:
                raise
            except AionvisionError as error:
                for document in group:
                    document.fail(error)
            for document in group:
                self._told.complete(document)

    async def _keyed(self, sources: Sequence[Source]) -> list[SentDocument]:
        """Documents by their content, name and target: what is there twice is sent once."""
        for index, source in enumerate(sources):
            key = await self._transport.runtime.aside(
                functools.partial(idempotency_key, source, self._target)
            )
            if key in self._documents:
                self._documents[key].indexes.append(index)
            else:
                result = DocumentUploadResult(document_id="", filename=source.name)
                self._documents[key] = SentDocument(source, key, [index], result)
        return list(self._documents.values())

    async def _send_group(self, group: list[SentDocument]) -> None:
        prepared = await self._resource.batch_prepare([_info(d, self._target) for d in group])
        placed = _placed(prepared, group)
        confirmations = await self._transport.runtime.several(
            [functools.partial(self._store, document, place) for document, place in placed],
            max(1, min(prepared.upload_plan.max_concurrent, AT_ONCE)),
        )
        kept = [d for (d, _), told in zip(placed, confirmations, strict=True) if told.success]
        items = await self._confirm(prepared.batch_id, confirmations, kept)
        batch = SentBatch(prepared.batch_id)
        self.batches.append(batch)
        missing = []
        for document, place in placed:
            item = items.get(place.object_key)
            if item is not None:
                document.take(item)
                batch.documents.append(document)
            elif not document.result.is_failed:
                missing.append(document)
        # After all others are noted: one that meets the end of a quota ends the upload.
        for document in missing:
            await self._send_alone(document, batch)

    async def _send_alone(self, document: SentDocument, batch: SentBatch) -> None:
        """A document that the batch lacks though it was stored: its key is that of one that was deleted since."""
        try:
            confirmed = await self._single.send(
                document.source, document.key, self._told.bytes_of(document), first=1
            )
        except AionvisionError as error:
            if isinstance(error, QuotaExceededError):
                raise
            document.begun |= error.begun
            document.fail(error)
            return
        document.result = DocumentUploadResult.of(confirmed, document.source.name)
        document.alone = True
        batch.documents.append(document)

    async def _store(
        self, document: SentDocument, place: DocumentBatchPresignedUrl
    ) -> DocumentUploadConfirmation:
        message: str | None = None
        try:
            await stored(self._transport, document.source, place, self._told.bytes_of(document))
        except AionvisionError as error:
            document.fail(error)
            message = error.message
        return DocumentUploadConfirmation(
            object_key=place.object_key,
            success=message is None,
            file_size=document.source.size,
            error_message=message,
        )

    async def _confirm(
        self,
        batch_id: str,
        confirmations: list[DocumentUploadConfirmation],
        documents: Sequence[SentDocument],
    ) -> dict[str, DocumentBatchItem]:
        """The `documents`, those that were stored, as the server has them, by their place.

        Where its answer was lost, or names none, it is asked what it has: confirming twice might process twice.
        """
        if not documents:
            return {}
        for document in documents:
            document.begun = True
        try:
            items = (await self._resource.batch_confirm(batch_id, confirmations)).documents
        except AionvisionError as error:
            for document in documents:
                document.begun = error.begun
            if not isinstance(error, _LOST):
                raise
            items = []
        if not items:
            items = (await self._resource.batch_status(batch_id)).documents
        return {item.object_key: item for item in items}


def _info(document: SentDocument, target: str | None) -> DocumentFileInfo:
    return DocumentFileInfo(
        filename=document.source.name,
        size_bytes=document.source.size,
        content_type=document.source.media_type,
        idempotency_key=document.key,
        storage_target=target,
    )


def _placed(
    prepared: DocumentBatchPrepareResult, group: list[SentDocument]
) -> list[tuple[SentDocument, DocumentBatchPresignedUrl]]:
    """Documents with their places; those that got none fail."""
    places = {place.file_index: place for place in prepared.presigned_urls}
    placed = []
    for index, document in enumerate(group):
        if index in places:
            placed.append((document, places[index]))
        else:
            document.fail(AionvisionError("the server named no place for it"))
    return placed
