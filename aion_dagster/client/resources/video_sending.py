"""Whole uploads of videos, which go on where they were broken off."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    ConflictError,
    InvalidResponseError,
    ResourceNotFoundError,
    UploadError,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.models.videos import (
    AnalysisType,
    VideoChunk,
    VideoUploadProgress,
    VideoUploadResult,
    VideoUploadSession,
)
from aion_dagster.client.resources.upload_sources import FileInput, Source, source_of
from aion_dagster.client.resources.video_analysis import VideoAnalysisResource
from aion_dagster.client.resources.video_chunks import ChunkSending, Counting, OnProgress
from aion_dagster.client.resources.video_uploads import VIDEO_BYTES, check_analysis

VIDEO_TYPES: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
}
"""Suffixes whose type does not depend on what a machine knows."""

_DONE: Final = frozenset({WorkStatus.COMPLETED, WorkStatus.PROCESSING})
_LOST: Final = (
    ConflictError,
    AionvisionConnectionError,
    AionvisionTimeoutError,
    InvalidResponseError,
)
"""Errors after which a completion may have arrived."""


class VideoSending(VideoAnalysisResource):
    """Send videos."""

    async def upload(
        self,
        file: FileInput,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        duration_seconds: float | None = None,
        auto_analyze: bool = True,
        analysis_provider: str | None = None,
        analysis_model: str | None = None,
        analysis_type: AnalysisType | str | None = None,
        session: VideoUploadSession | None = None,
        on_session: Callable[[VideoUploadSession], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> VideoUploadResult:
        """Send a video in chunks, piece by piece from the file, and have it analysed.

        An upload that breaks off goes on with `session`: in this process from `details["session"]` of whatever error it
        was, in another from what `on_session` was given. The blocking client calls `on_progress` from several threads.

        Args:
            file: path, bytes, or an open file, at most 4 GiB.
            filename: the name to send.
            content_type: `video/…`; by default told by the name.
            title: at most 255 characters.
            tags: at most 20 of 50 characters.
            metadata: texts by name.
            duration_seconds: how long it is, which the price depends on; where None, the server finds out.
            auto_analyze: whether it is analysed, which costs a credit a minute.
            analysis_provider: google, openai or anthropic.
            analysis_model: of that provider.
            analysis_type: full_vlm, frame_sample, scene_detection or transcript.
            session: the upload to go on with.
            on_session: is given the upload once it is begun, to keep it.
            on_progress: hears of bytes on their way.

        Raises:
            ValidationError: the file is not there, empty, too large or no video, or not that of `session`.
            UploadError: a chunk could not be sent, or the session is over; `session_id` is the media id.
        """
        check_analysis(duration_seconds, analysis_provider, analysis_type)
        source = _video(file, filename, content_type)
        begun = session is None
        if session is None:
            session = await self.initiate(
                source.name,
                source.media_type,
                source.size,
                title=title,
                tags=tags,
                metadata=metadata,
            )
            if on_session is not None:
                on_session(session)
        if session.size_bytes != source.size:
            raise limits.refuse(
                "file", f"has {source.size:,} bytes, its upload {session.size_bytes:,}"
            )
        try:
            if not await self._chunks(session, source, on_progress, begun=begun):
                return await self._found(session)
            return await self._complete(
                session,
                duration_seconds,
                auto_analyze,
                (analysis_provider, analysis_model, analysis_type),
            )
        except AionvisionError as error:
            error.details["session"] = session
            if isinstance(error, UploadError):
                error.session_id = session.media_id
            raise

    async def _chunks(
        self,
        session: VideoUploadSession,
        source: Source,
        on_progress: OnProgress | None,
        *,
        begun: bool,
    ) -> bool:
        """Send what the server does not have; False where it has been completed before."""
        ordered = sorted(session.chunks, key=lambda chunk: chunk.chunk_number)
        counting = Counting(session, source.name, source.size, on_progress)
        there: list[VideoChunk] = []
        if not begun:
            progress = await self._resumable(session)
            if progress.status in _DONE:
                return False
            failed = set(progress.failed_chunks)
            there = [
                chunk
                for chunk in ordered[: progress.chunks_completed]
                if chunk.chunk_number not in failed
            ]
        for chunk in there:
            counting.confirmed(chunk)
        missing = [chunk for chunk in ordered if chunk.chunk_number not in counting.there]
        sending = ChunkSending(self, self._transport, session, source, counting)
        completed = await sending.send(missing) if missing else len(ordered)
        if completed < len(ordered):
            # Somebody confirmed out of order: a chunk that is sent twice does no harm, a missing one does.
            await sending.send(there)
        return True

    async def _resumable(self, session: VideoUploadSession) -> VideoUploadProgress:
        try:
            progress = await self.get_progress(session.media_id)
        except ResourceNotFoundError as error:
            raise UploadError(
                "the server does not know the upload any more; begin anew",
                code="SESSION_OVER",
                request_id=error.request_id,
                status=error.status,
            ) from error
        if progress.status.is_failure:
            raise UploadError(f"the upload is {progress.status}; begin anew", code="SESSION_OVER")
        return progress

    async def _complete(
        self,
        session: VideoUploadSession,
        duration_seconds: float | None,
        auto_analyze: bool,
        analysis: tuple[str | None, str | None, AnalysisType | str | None],
    ) -> VideoUploadResult:
        """Complete once; where the answer was lost, see whether it arrived."""
        provider, model, kind = analysis
        try:
            return await self.complete(
                session.media_id,
                session.upload_id,
                duration_seconds=duration_seconds,
                auto_analyze=auto_analyze,
                analysis_provider=provider,
                analysis_model=model,
                analysis_type=kind,
            )
        except _LOST:
            if (await self.get_progress(session.media_id)).status not in _DONE:
                raise
            return await self._found(session)

    async def _found(self, session: VideoUploadSession) -> VideoUploadResult:
        """What became of an upload that was completed before."""
        result = VideoUploadResult(media_id=session.media_id)
        try:
            analysis = await self.get_analysis_status(session.media_id)
        except ResourceNotFoundError:
            return result
        return result.model_copy(
            update={
                "analysis_job_id": analysis.analysis_job_id,
                "processing_status": analysis.status,
            }
        )


def _video(file: FileInput, filename: str | None, content_type: str | None) -> Source:
    source = source_of(file, filename)
    suffix = PurePath(source.name).suffix.lower()
    kind = content_type or VIDEO_TYPES.get(suffix) or mimetypes.guess_type(source.name)[0] or ""
    if not kind.startswith("video/"):
        raise limits.refuse(
            "content_type" if content_type else "file", f"{source.name} is no video ({kind or '?'})"
        )
    source.check("file", VIDEO_BYTES)
    return replace(source, media_type=kind)
