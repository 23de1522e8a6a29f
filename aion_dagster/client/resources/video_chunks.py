"""The chunks of one video: sent from the file, side by side, confirmed in order, so that the server always has a beginning.

The API tells how many chunks it has, not which; because they are confirmed in order, the number says which. An upload that
was broken off goes on behind them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

from aion_dagster.client.errors import AionvisionError, UploadError
from aion_dagster.client.models.videos import (
    VideoChunk,
    VideoUploadProgressEvent,
    VideoUploadSession,
)
from aion_dagster.client.resources.upload_sources import PIECE, Reading, Source
from aion_dagster.client.resources.video_uploads import VideoUploadsResource
from aion_dagster.client.transport import Transport

AT_ONCE: Final = 8
"""Chunks that are sent at once, at most, whatever a server recommends."""

OnProgress = Callable[[VideoUploadProgressEvent], None]


@dataclass(slots=True)
class Counting:
    """Bytes that are on their way or there, over all chunks; several threads may count."""

    session: VideoUploadSession
    filename: str
    size: int
    on_progress: OnProgress | None
    there: set[int] = field(default_factory=set)
    _sent: int = 0
    _bytes: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, chunk: VideoChunk) -> Callable[[int], None]:
        """Count a chunk from its beginning; the result hears of every piece."""
        with self._lock:
            self._set(chunk, 0)

        def told(length: int) -> None:
            with self._lock:
                self._set(chunk, self._bytes[chunk.chunk_number] + length)
                self._tell()

        return told

    def confirmed(self, chunk: VideoChunk) -> None:
        """The server has a chunk."""
        with self._lock:
            self._set(chunk, chunk.size_bytes)
            self.there.add(chunk.chunk_number)

    def tell(self) -> None:
        """Say how far it is."""
        with self._lock:
            self._tell()

    def _set(self, chunk: VideoChunk, sent: int) -> None:
        self._sent += sent - self._bytes.get(chunk.chunk_number, 0)
        self._bytes[chunk.chunk_number] = sent

    def _tell(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                VideoUploadProgressEvent(
                    self.session.media_id,
                    self.filename,
                    self._sent,
                    self.size,
                    len(self.there),
                    len(self.session.chunks),
                )
            )


class ChunkSending:
    """Sends chunks of one file."""

    def __init__(
        self,
        resource: VideoUploadsResource,
        transport: Transport,
        session: VideoUploadSession,
        source: Source,
        counting: Counting,
    ) -> None:
        """Send `source` in the chunks of `session`."""
        self._resource = resource
        self._transport = transport
        self._session = session
        self._source = source
        self._counting = counting
        ordered = sorted(session.chunks, key=lambda chunk: chunk.chunk_number)
        starts = [0, *accumulate(chunk.size_bytes for chunk in ordered)]
        self._starts = {c.chunk_number: start for c, start in zip(ordered, starts, strict=False)}

    async def send(self, chunks: Sequence[VideoChunk]) -> int:
        """Send chunks and confirm them in order; returns how many the server has then, as it says.

        Raises:
            AionvisionError: one could not be sent; those before it are confirmed.
        """
        completed = 0
        # One open file has one place to read from.
        shared = not isinstance(self._source.content, Path | bytes)
        at_once = 1 if shared else max(1, min(self._session.concurrent_upload_limit, AT_ONCE))
        for start in range(0, len(chunks), at_once):
            wave = chunks[start : start + at_once]
            tags = await self._transport.runtime.several(
                [functools.partial(self._sent, chunk) for chunk in wave], at_once
            )
            for chunk, tag in zip(wave, tags, strict=True):
                if isinstance(tag, AionvisionError):
                    raise tag
                confirmation = await self._resource.confirm_chunk(
                    self._session.media_id,
                    self._session.upload_id,
                    chunk.chunk_number,
                    tag,
                    chunk.size_bytes,
                )
                completed = confirmation.chunks_completed
                self._counting.confirmed(chunk)
            self._counting.tell()
        return completed

    async def _sent(self, chunk: VideoChunk) -> str | AionvisionError:
        """The storage's tag of a chunk; where it could not be sent, why not."""
        try:
            return await self._tag(chunk)
        except AionvisionError as error:
            return error

    async def _tag(self, chunk: VideoChunk) -> str:
        """Send a chunk; where that fails, to a new place, as often as the server allows."""
        session, attempt = self._session, 0
        while True:
            try:
                return await self._put(chunk)
            except AionvisionError as error:
                if attempt >= session.retry_attempts or error.code in _NOT_THE_PLACE:
                    raise
            attempt += 1
            again = await self._resource.retry_chunk(
                session.media_id, session.upload_id, chunk.chunk_number
            )
            chunk = chunk.model_copy(update={"upload_url": again.upload_url})

    async def _put(self, chunk: VideoChunk) -> str:
        try:
            headers = await self._transport.put(
                chunk.upload_url,
                lambda: self._pieces(chunk, self._counting.begin(chunk)),
                # Storages take no body whose length they are not told.
                {"Content-Length": str(chunk.size_bytes)},
                method=chunk.upload_method.upper(),
            )
        except AionvisionError as error:
            if error.status is None or error.status >= 500:
                raise
            raise UploadError(
                f"chunk {chunk.chunk_number}: the storage refused it: {error.message}",
                code="STORAGE_REFUSED",
                status=error.status,
                details=error.details,
            ) from error
        tag = headers.get("etag", "")
        if not tag:
            raise UploadError(
                f"chunk {chunk.chunk_number}: the storage gave no ETag", code="NO_ETAG"
            )
        return tag

    def _pieces(self, chunk: VideoChunk, told: Callable[[int], None]) -> Iterator[bytes]:
        reading = Reading(self._source, told)
        reading.seek(self._starts[chunk.chunk_number])
        left = chunk.size_bytes
        while left > 0:
            piece = reading.read(min(PIECE, left))
            left -= len(piece)
            if not piece:
                raise UploadError(
                    f"{self._source.name}: is shorter than its chunks", code="FILE_CHANGED"
                )
            yield piece


_NOT_THE_PLACE: Final = frozenset({"FILE_CHANGED", "FILE_UNREADABLE", "UNSAFE_URL"})
"""Errors that another place would not help against."""
