"""Videos: uploads in chunks, analyses, scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Flag, Text
from aion_dagster.client.models.statuses import WorkStatus


class AnalysisType(OpenEnum):
    """What is done with a video."""

    FULL_VLM = "full_vlm"
    FRAME_SAMPLE = "frame_sample"
    SCENE_DETECTION = "scene_detection"
    TRANSCRIPT = "transcript"


class VideoInfo(Model):
    """A video that is going to be sent; at most 4 GiB, 20 tags."""

    filename: str
    content_type: str
    size_bytes: int
    title: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None


class VideoChunk(Model):
    """A part of a video and where it may be sent; the URL needs no key. Numbers count from 1."""

    chunk_number: int
    size_bytes: int
    upload_url: str = Field(repr=False)
    expires_at: UtcDatetime | None = None
    upload_method: str = "PUT"


class VideoUploadSession(Model):
    """An upload that was begun.

    Kept (`model_dump_json`, `model_validate_json`) it lets another process go on with the upload.
    """

    media_id: str
    upload_id: str
    chunks: Rows[VideoChunk] = rows("chunks")
    total_chunks: Count = 0
    chunk_size_bytes: Count = 0
    expires_at: UtcDatetime | None = None
    storage_path: Text = ""
    concurrent_upload_limit: Count = 5
    retry_attempts: Count = 3

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole video."""
        return sum(chunk.size_bytes for chunk in self.chunks)


class VideoBatch(Model):
    """Uploads that were begun together."""

    batch_id: str
    videos: Rows[VideoUploadSession] = rows("videos")
    total_videos: Count = 0
    total_size_bytes: Count = 0
    estimated_time_seconds: float | None = None
    processing_priority: Text = ""


class ChunkConfirmation(Model):
    """A chunk that the server has, and how many it has by now."""

    chunk_number: int
    status: WorkStatus = WorkStatus.COMPLETED
    chunks_completed: Count = 0
    total_chunks: Count = 0
    progress_percent: float = 0.0
    estimated_time_remaining: int | float | None = None


class ChunkRetry(Model):
    """Where a chunk may be sent anew."""

    chunk_number: int
    upload_url: str = Field(repr=False)
    expires_at: UtcDatetime | None = None
    retry_attempt: Count = 0
    max_retries: Count = 0


class VideoMetadata(Model):
    """What the server found in a video."""

    duration_seconds: float | None = None
    resolution: Text = ""
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    video_codec: Text = ""
    audio_codec: str | None = None
    bitrate_kbps: int | float | None = None
    file_size_bytes: int | None = None
    format_name: Text = ""


class VideoUploadResult(Model):
    """A video that the server has; `analysis_job_id` where its analysis was begun."""

    media_id: str = Field(validation_alias=either("media_id", "id"))
    status: WorkStatus = WorkStatus.COMPLETED
    metadata: VideoMetadata | None = None
    thumbnail_url: str | None = None
    video_url: str | None = Field(default=None, repr=False)
    analysis_job_id: str | None = None
    processing_status: WorkStatus | None = None
    created_at: UtcDatetime | None = None


class AbortVideoResult(Model):
    """An upload that was given up."""

    media_id: str
    status: WorkStatus = WorkStatus.ABORTED
    cleaned_up: Flag = False
    chunks_removed: Count = 0
    s3_cleanup: Flag = False


class VideoUploadProgress(Model):
    """How far an upload is, as the server sees it."""

    media_id: str
    upload_id: Text = ""
    status: WorkStatus = WorkStatus.UPLOADING
    chunks_completed: Count = 0
    total_chunks: Count = 0
    bytes_uploaded: Count = 0
    total_bytes: Count = 0
    progress_percent: float = 0.0
    estimated_time_remaining: int | float | None = None
    current_chunk: int | None = None
    failed_chunks: Rows[int] = rows("failed_chunks")
    last_updated: UtcDatetime | None = None


class VideoAnalysisStatus(Model):
    """How far an analysis is."""

    analysis_job_id: str = Field(validation_alias=either("analysis_job_id", "job_id", "id"))
    media_id: Text = ""
    status: WorkStatus = WorkStatus.PENDING
    progress_percent: float = 0.0
    current_step: str | None = None
    started_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    error_message: str | None = None
    error_code: str | None = None
    retry_count: Count = 0
    max_retries: Count = 0
    estimated_completion_time: UtcDatetime | None = None


class RetryAnalysisResult(Model):
    """An analysis that was begun anew."""

    analysis_job_id: str
    media_id: Text = ""
    status: WorkStatus = WorkStatus.PENDING
    retry_count: Count = 0
    max_retries: Count = 0
    message: Text = ""


class QueueAnalysisResult(Model):
    """An analysis that was queued."""

    analysis_job_id: str
    media_id: Text = ""
    queue_position: Count = 0
    estimated_start_time: UtcDatetime | None = None
    message: Text = ""


class VideoScene(Model):
    """A scene; times in seconds."""

    scene_id: str = Field(validation_alias=either("scene_id", "id"))
    scene_index: int = 0
    start_time: float | None = Field(
        default=None, validation_alias=either("start_time", "start_time_seconds", "start_seconds")
    )
    end_time: float | None = Field(
        default=None, validation_alias=either("end_time", "end_time_seconds", "end_seconds")
    )
    time_range_formatted: str | None = None
    description: Text = ""
    tags: Rows[str] = rows("tags")
    thumbnail_url: str | None = None


class VideoSceneList(Model):
    """All scenes of a video, in its order; the specification gives the answer no type."""

    video_id: Text = Field(default="", validation_alias=either("video_id", "media_id"))
    scenes: Rows[VideoScene] = rows("scenes", "items")
    total_count: Count = Field(
        default=0, validation_alias=either("total_count", "total", "total_scenes", "scene_count")
    )

    @model_validator(mode="before")
    @classmethod
    def _wrapped(cls, data: Any) -> Any:
        return {"scenes": data} if isinstance(data, list) else data


@dataclass(frozen=True, slots=True)
class VideoUploadProgressEvent:
    """Bytes of a video are on their way; those of a chunk that is sent again are taken back first."""

    media_id: str
    filename: str
    uploaded_bytes: int
    total_bytes: int
    chunks_completed: int
    total_chunks: int

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        return 100.0 * self.uploaded_bytes / self.total_bytes if self.total_bytes else 100.0
