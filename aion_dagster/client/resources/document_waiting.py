"""Waiting for many documents: their batches are looked at, not each document."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aion_dagster.client import limits
from aion_dagster.client.errors import AionvisionTimeoutError, ResourceNotFoundError
from aion_dagster.client.models.document_uploads import DocumentStatusResult
from aion_dagster.client.models.documents import DocumentItem
from aion_dagster.client.resources.base import until
from aion_dagster.client.resources.document_listing import DocumentListing
from aion_dagster.client.resources.document_progress import SentBatch, SentDocument, Told
from aion_dagster.client.transport import Transport


class DocumentWaiting:
    """Waits for batches of one upload."""

    def __init__(self, resource: DocumentListing, transport: Transport, told: Told) -> None:
        """Look through `resource`."""
        self._resource = resource
        self._transport = transport
        self._told = told

    async def wait(self, batches: Sequence[SentBatch], timeout: float) -> None:
        """Wait until all are processed, or `timeout` seconds are over; what is not over then stays pending."""
        end = time.monotonic() + timeout
        for batch in batches:
            left = {d.result.document_id: d for d in batch.documents if d.result.is_pending}
            if left:
                await self._wait_for(batch.batch_id, left, max(0.0, end - time.monotonic()))
        await self._count([d for batch in batches for d in batch.documents])

    async def _wait_for(self, batch_id: str, left: dict[str, SentDocument], timeout: float) -> None:
        config = self._transport.config
        try:
            await until(
                lambda: self._look(batch_id, left),
                lambda _: not left,
                self._transport.runtime,
                what=f"processing of batch {batch_id}",
                interval=config.polling_interval,
                timeout=timeout,
            )
        except AionvisionTimeoutError as error:
            if error.code != "POLLING_TIMEOUT":
                raise

    async def _look(self, batch_id: str, left: dict[str, SentDocument]) -> None:
        """See what is over; only what failed, or is not in the batch, is looked at by itself."""
        status = await self._resource.batch_status(batch_id)
        states = {item.document_id: item.text_extraction_status for item in status.documents}
        for document_id, document in list(left.items()):
            state = states.get(document_id)
            if state is not None and state.is_over and not state.is_failure:
                document.result = document.result.processed(
                    DocumentStatusResult(document_id=document_id, text_extraction_status=state)
                )
            elif document.alone or (status.status if state is None else state).is_over:
                await self._look_at(document)
            if not document.result.is_pending:
                del left[document_id]
                self._told.over(document)

    async def _look_at(self, document: SentDocument) -> None:
        try:
            found = await self._resource.get_status(document.result.document_id)
        except ResourceNotFoundError as error:
            document.fail(error)
        else:
            document.result = document.result.processed(found)

    async def _count(self, documents: list[SentDocument]) -> None:
        """Pages and pieces of text, from the server's list: its first pages hold what came last."""
        open_ = {
            d.result.document_id: d
            for d in documents
            if d.result.is_completed and d.result.page_count is None
        }
        pages = 1 + -(-len(documents) // limits.PAGE)
        for page in range(1, pages + 1):
            if not open_:
                return
            listed = await self._resource.list(page=page, page_size=limits.PAGE)
            for item in listed.documents:
                if item.id in open_:
                    _count_one(open_.pop(item.id), item)
            if not listed.documents:
                return


def _count_one(document: SentDocument, item: DocumentItem) -> None:
    document.result = document.result.model_copy(
        update={"page_count": item.page_count, "chunk_count": item.chunk_count}
    )
