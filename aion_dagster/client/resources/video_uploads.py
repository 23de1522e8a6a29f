"""Uploads of videos, step by step: begun, confirmed chunk by chunk, completed or given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.models.videos import (
    AbortVideoResult,
    AnalysisType,
    ChunkConfirmation,
    ChunkRetry,
    VideoBatch,
    VideoInfo,
    VideoUploadProgress,
    VideoUploadResult,
    VideoUploadSession,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat

VIDEO_BYTES: Final = 4 * 1024**3
VIDEO_TAGS: Final = 20
BATCH: Final = 10
"""Videos that can be begun together."""

PRIORITIES: Final = ("low", "normal", "high")
PROVIDERS: Final = ("google", "openai", "anthropic")
MOST: Final = 1 << 16
"""Characters of what the API gives no limit for."""

_REASON: Final = 500


class VideoUploadsResource(Resource):
    """The steps that an upload of a video consists of; `videos.upload` takes them all."""

    async def initiate(
        self,
        filename: str,
        content_type: str,
        size_bytes: int,
        *,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> VideoUploadSession:
        """Begin an upload; the answer says where each chunk may be sent.

        Args:
            filename: 1 to 255 characters.
            content_type: `video/…`.
            size_bytes: 1 to 4 GiB.
            title: at most 255 characters.
            tags: at most 20 of 50 characters.
            metadata: texts by name.
        """
        if isinstance(tags, str):
            raise limits.refuse("tags", "a list of tags is expected, not one string")
        info = VideoInfo(
            filename=filename,
            content_type=content_type,
            size_bytes=size_bytes,
            title=title,
            tags=None if tags is None else list(tags),
            metadata=None if metadata is None else dict(metadata),
        )
        _check(info)
        return await self._ask(
            VideoUploadSession,
            "POST /video-uploads/initiate",
            body=info.model_dump(exclude_none=True),
            repeat=Repeat.ANSWERED,
        )

    async def initiate_batch(
        self,
        videos: Sequence[VideoInfo],
        *,
        auto_process: bool = True,
        processing_priority: str = "normal",
    ) -> VideoBatch:
        """Begin the uploads of 1 to 10 videos; `processing_priority` is low, normal or high."""
        limits.check_count("videos", videos, 1, BATCH)
        limits.check_word("processing_priority", processing_priority, PRIORITIES)
        for video in videos:
            _check(video)
        return await self._ask(
            VideoBatch,
            "POST /video-uploads/batch/initiate",
            body={
                "videos": [video.model_dump(exclude_none=True) for video in videos],
                "auto_process": auto_process,
                "processing_priority": processing_priority,
            },
            repeat=Repeat.ANSWERED,
        )

    async def confirm_chunk(
        self, media_id: str, upload_id: str, chunk_number: int, etag: str, size_bytes: int
    ) -> ChunkConfirmation:
        """Say that a chunk was sent; `etag` is what the storage answered."""
        limits.check_text("etag", etag, MOST, 1)
        limits.check_number("size_bytes", size_bytes, 1, VIDEO_BYTES)
        return await self._ask(
            ChunkConfirmation,
            "POST /video-uploads/chunks/confirm",
            body=_chunk(media_id, upload_id, chunk_number)
            | {"etag": etag, "size_bytes": size_bytes},
        )

    async def retry_chunk(self, media_id: str, upload_id: str, chunk_number: int) -> ChunkRetry:
        """Ask where a chunk may be sent anew; the server counts how often."""
        return await self._ask(
            ChunkRetry,
            "POST /video-uploads/chunks/retry",
            body=_chunk(media_id, upload_id, chunk_number),
            repeat=Repeat.ANSWERED,
        )

    async def complete(
        self,
        media_id: str,
        upload_id: str,
        *,
        duration_seconds: float | None = None,
        auto_analyze: bool = True,
        analysis_provider: str | None = None,
        analysis_model: str | None = None,
        analysis_type: AnalysisType | str | None = None,
    ) -> VideoUploadResult:
        """Put the chunks together and have the video analysed, which costs a credit a minute.

        Not said again after a lost answer: `get_progress` tells whether it arrived.

        Args:
            media_id: of the upload.
            upload_id: of the upload.
            duration_seconds: how long it is; where None, the server finds out.
            auto_analyze: whether it is analysed.
            analysis_provider: google, openai or anthropic.
            analysis_model: of that provider.
            analysis_type: full_vlm, frame_sample, scene_detection or transcript.
        """
        limits.check_text("upload_id", upload_id, MOST, 1)
        check_analysis(duration_seconds, analysis_provider, analysis_type)
        return await self._ask(
            VideoUploadResult,
            "POST /video-uploads/complete",
            body={
                "media_id": media_id,
                "upload_id": upload_id,
                "auto_analyze": auto_analyze,
                "analysis_provider": analysis_provider,
                "analysis_model": analysis_model,
                "analysis_type": analysis_type,
                # One second is what the API wants to be told where nobody knows.
                "duration_seconds": 1.0 if duration_seconds is None else duration_seconds,
                "duration_extraction_failed": duration_seconds is None,
            },
            repeat=Repeat.ANSWERED,
        )

    async def abort(
        self, media_id: str, upload_id: str, *, reason: str | None = None
    ) -> AbortVideoResult:
        """Give an upload up; its chunks are deleted. `reason` has at most 500 characters."""
        limits.check_text("upload_id", upload_id, MOST, 1)
        limits.check_text("reason", reason, _REASON)
        return await self._ask(
            AbortVideoResult,
            "POST /video-uploads/abort",
            body={"media_id": media_id, "upload_id": upload_id, "reason": reason},
        )

    async def get_progress(self, media_id: str) -> VideoUploadProgress:
        """How far an upload is, as the server sees it."""
        return await self._ask(
            VideoUploadProgress,
            "GET /video-uploads/progress/{media_id}",
            ids={"media_id": media_id},
        )


def check_analysis(
    duration_seconds: float | None, provider: str | None, analysis_type: str | None
) -> None:
    """What an analysis is asked to do.

    Raises:
        ValidationError: the API does not know of it.
    """
    if duration_seconds is not None and not 0 < duration_seconds < float("inf"):
        raise limits.refuse("duration_seconds", f"{duration_seconds} is not above 0")
    limits.check_word("analysis_provider", provider, PROVIDERS)
    limits.check_word("analysis_type", analysis_type, tuple(AnalysisType))


def _chunk(media_id: str, upload_id: str, chunk_number: int) -> dict[str, str | int]:
    limits.check_text("upload_id", upload_id, MOST, 1)
    limits.check_number("chunk_number", chunk_number, 1, 10_000)
    return {"media_id": media_id, "upload_id": upload_id, "chunk_number": chunk_number}


def _check(video: VideoInfo) -> None:
    limits.check_text("filename", video.filename, limits.TITLE, 1)
    if not video.content_type.startswith("video/"):
        raise limits.refuse("content_type", f"{video.content_type!r} is no video/…")
    limits.check_number("size_bytes", video.size_bytes, 1, VIDEO_BYTES)
    limits.check_title(video.title)
    limits.check_tags(video.tags)
    limits.check_count("tags", video.tags or (), 0, VIDEO_TAGS)
