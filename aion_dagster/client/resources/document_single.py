"""Sending one document: permission, storage, confirmation, under a key by which a repetition is recognised."""

from __future__ import annotations

from typing import Final

from aion_dagster.client.errors import ResourceNotFoundError, UploadError
from aion_dagster.client.models.document_uploads import (
    DocumentConfirmResult,
    DocumentPresignedUploadResult,
)
from aion_dagster.client.resources.document_storage import stored
from aion_dagster.client.resources.document_uploads import DocumentUploadsResource
from aion_dagster.client.resources.upload_sources import Progress, Source
from aion_dagster.client.transport import Transport

LIVES: Final = 8
"""How often the same document may be deleted and sent again."""

_FORBIDDEN: Final = 403


class SingleSending:
    """Sends documents one by one.

    The key comes from the content, so that a repetition after a crash finds the first upload. A document that was deleted
    since is found by it too; then the next key of a fixed row is taken, which is as good against crashes.
    """

    def __init__(
        self, resource: DocumentUploadsResource, transport: Transport, target: str | None
    ) -> None:
        """Send through `resource`, and files through `transport`, to the storage `target`."""
        self._resource = resource
        self._transport = transport
        self._target = target

    async def send(
        self, source: Source, key: str, told: Progress | None, *, first: int = 0
    ) -> DocumentConfirmResult:
        """Send a document; keys before the one with number `first` are known to be those of deleted documents.

        Raises:
            UploadError: the storage refused it.
            ResourceNotFoundError: the server does not find what was sent.
        """
        gone: ResourceNotFoundError | None = None
        for life in range(first, LIVES):
            try:
                return await self._sent(source, f"{key}.{life}" if life else key, told)
            except ResourceNotFoundError as error:
                gone = error
        raise gone or ResourceNotFoundError(f"{source.name}: was deleted too often")

    async def _sent(self, source: Source, key: str, told: Progress | None) -> DocumentConfirmResult:
        place = await self._stored(source, key, told)
        confirmed = await self._resource.confirm_upload(
            place.object_key, source.size, source.media_type
        )
        if confirmed.is_idempotent_retry:
            # Found by its key: it may have been deleted since, which this answers with 404.
            await self._resource.get_status(confirmed.document_id)
        return confirmed

    async def _stored(
        self, source: Source, key: str, told: Progress | None
    ) -> DocumentPresignedUploadResult:
        """Permission and storage; a permission that ran out is asked for anew, once."""
        place = await self._permitted(source, key)
        try:
            await stored(self._transport, source, place, told)
        except UploadError as error:
            if error.status != _FORBIDDEN:
                raise
            place = await self._permitted(source, key)
            await stored(self._transport, source, place, told)
        return place

    async def _permitted(self, source: Source, key: str) -> DocumentPresignedUploadResult:
        return await self._resource.request_upload(
            source.name,
            source.media_type,
            source.size,
            idempotency_key=key,
            storage_target=self._target,
        )
