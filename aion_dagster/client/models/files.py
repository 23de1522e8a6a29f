"""Files: pictures, documents, videos and links of a library."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.listing import Listing
from aion_dagster.client.models.nulls import Count, Counts, Flag, Rounded, Text

SHA256_DIGITS = 64


class MediaType(OpenEnum):
    """What a file is."""

    IMAGE = "image"
    DOCUMENT = "document"
    VIDEO = "video"
    LINK = "link"


class VariantType(OpenEnum):
    """Sizes in which a picture is kept; the number is the longest side in pixels."""

    ORIGINAL = "original"
    TINY_64 = "tiny_64"
    SMALL_256 = "small_256"
    MEDIUM_750 = "medium_750"
    LARGE_1024 = "large_1024"


class _FileFields(Model):
    """What a file has in a list and by itself."""

    id: str
    title: str | None = None
    tags: Rows[str] = rows("tags")
    size_bytes: Count = 0
    dimensions: dict[str, int] | None = None
    format: str | None = None
    thumbnail_url: str | None = None
    medium_url: str | None = None
    full_url: str | None = None
    upload_description: str | None = None
    visible_text: str | None = None
    created_at: UtcDatetime | None = None
    content_created_at: UtcDatetime | None = None
    variant_status: str | None = None
    variant_count: int | None = None
    variant_error: str | None = None
    blur_hash: str | None = None
    description_status: str | None = None
    description_error: str | None = None
    confidence_score: float | None = None
    media_type: str | None = None
    # Videos.
    video_metadata: dict[str, Any] | None = None
    video_analysis_status: str | None = None
    video_analysis_job_id: str | None = None
    scene_count: int | None = None
    has_audio_transcript: bool | None = None
    video_url: str | None = None
    # Documents.
    document_type: str | None = None
    page_count: int | None = None
    text_extraction_status: str | None = Field(
        default=None, validation_alias=either("text_extraction_status", "extraction_status")
    )
    chunk_count: int | None = None
    document_url: str | None = None
    # Links.
    source_url: str | None = Field(default=None, validation_alias=either("source_url", "url"))
    domain: str | None = None
    og_metadata: dict[str, Any] | None = None
    favicon_url: str | None = None
    page_title: str | None = None
    crawl_status: str | None = None
    crawl_error: str | None = None
    crawled_at: UtcDatetime | None = None
    extracted_images: dict[str, Any] | list[Any] | None = None
    extracted_images_count: int | None = None


class UserFile(_FileFields):
    """A file as lists show it; fields of other media types are None."""

    filename: str | None = Field(
        default=None, validation_alias=either("filename", "original_filename")
    )
    content_type: str | None = None
    has_full_description: Flag = False


class FileList(Listing):
    """A page of files; `total_count` counts all that match."""

    files: Rows[UserFile] = rows("files", "items")


class FullDescription(Model):
    """What a model said about a picture."""

    id: str
    description: Text = ""
    visible_text: str | None = None
    confidence_score: float | None = None
    processing_time_ms: Rounded | None = None
    created_at: UtcDatetime | None = None
    providers_used: Rows[str] = rows("providers_used")
    verification_level: str | None = None


class ProcessingHistory(Model):
    """Something that was done to a file."""

    id: str
    operation_type: Text = ""
    status: Text = ""
    created_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    error_message: str | None = None


class UserFileDetails(_FileFields):
    """All that is known of a file; fields of other media types are None."""

    object_key: Text = ""
    content_type: Text = ""
    hash: Text = ""
    original_url: str | None = None
    original_filename: str | None = Field(
        default=None, validation_alias=either("original_filename", "filename")
    )
    description_generated_at: UtcDatetime | None = None
    full_descriptions: Rows[FullDescription] = rows("full_descriptions")
    processing_history: Rows[ProcessingHistory] = rows("processing_history")
    updated_at: UtcDatetime | None = None
    upload_method: str | None = None

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the content in hexadecimal digits, where `hash` is one."""
        digest = self.hash.lower().removeprefix("sha256:")
        is_one = len(digest) == SHA256_DIGITS and not set(digest) - set("0123456789abcdef")
        return digest if is_one else None


class UpdateFileResult(Model):
    """A file after its title or tags were changed."""

    id: str
    title: str | None = None
    tags: Rows[str] = rows("tags")
    updated_at: UtcDatetime | None = None


class DeleteFileResult(Model):
    """A file that was deleted; it can be recovered for 30 days."""

    id: str
    deleted_at: UtcDatetime | None = None
    message: Text = ""


class BatchDeleteFileResult(Model):
    """What became of one file: deleted, skipped (it is being processed) or failed."""

    id: str
    status: Text = ""
    message: str | None = None
    deleted_at: UtcDatetime | None = None


class BatchDeleteFilesResponse(Model):
    """What a deletion of several files did."""

    deleted: Rows[BatchDeleteFileResult] = rows("deleted")
    skipped: Rows[BatchDeleteFileResult] = rows("skipped")
    failed: Rows[BatchDeleteFileResult] = rows("failed")
    summary: Counts = Field(default_factory=dict)
    """total, deleted, skipped, failed."""
