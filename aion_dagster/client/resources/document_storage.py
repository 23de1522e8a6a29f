"""Sending a document to a place that the server named."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, cast

from aion_dagster.client import limits
from aion_dagster.client.calls import Part
from aion_dagster.client.errors import AionvisionError, UploadError
from aion_dagster.client.models.document_uploads import DocumentPresignedUploadResult
from aion_dagster.client.resources.upload_sources import Progress, Reading, Source
from aion_dagster.client.transport import Transport


async def stored(
    transport: Transport,
    source: Source,
    place: DocumentPresignedUploadResult,
    on_progress: Progress | None = None,
) -> None:
    """Send a file to its place, piece by piece and without the key.

    Raises:
        ValidationError: it is larger than the server allows there.
        UploadError: the storage refused it.
        AionvisionError: the storage failed, or was not reached.
    """
    most = place.max_size_bytes
    if most is not None and source.size > most > 0:
        raise limits.refuse(
            "file", f"{source.name} has {source.size:,} bytes, {most:,} are allowed"
        )
    try:
        await _sent(transport, source, place, on_progress)
    except AionvisionError as error:
        if error.status is None or error.status >= 500:
            raise
        raise UploadError(
            f"{source.name}: the storage refused it: {error.message}",
            code="STORAGE_REFUSED",
            status=error.status,
            details=error.details,
        ) from error


async def _sent(
    transport: Transport,
    source: Source,
    place: DocumentPresignedUploadResult,
    on_progress: Progress | None,
) -> None:
    headers = {name: str(value) for name, value in place.upload_headers.items()}
    if place.upload_method.upper() == "POST":
        await transport.put(
            place.upload_url,
            bytes,
            headers,
            method="POST",
            parts=lambda: [_part(source, counted(source.size, on_progress))],
            form=place.upload_fields,
        )
        return
    lower = {name.lower() for name in headers}
    if "content-type" not in lower:
        headers["Content-Type"] = source.media_type
    if "content-length" not in lower:
        # Storages take no body whose length they are not told.
        headers["Content-Length"] = str(source.size)
    await transport.put(
        place.upload_url, lambda: source.pieces(counted(source.size, on_progress)), headers
    )


def _part(source: Source, told: Callable[[int], None] | None) -> Part:
    return "file", (source.name, cast("IO[bytes]", Reading(source, told)), source.media_type)


def counted(total: int, on_progress: Progress | None) -> Callable[[int], None] | None:
    """What hears of every piece's length and tells how many bytes are on their way."""
    if on_progress is None:
        return None
    sent = 0

    def told(length: int) -> None:
        nonlocal sent
        sent += length
        on_progress(sent, total)

    return told
