"""What agents answer: searches, reports, analyses, files put in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from aion_dagster.client.models.base import Model, Rows, either, rows
from aion_dagster.client.models.collections import FileCollection, FileRef, images_of
from aion_dagster.client.models.nulls import Count, Text
from aion_dagster.client.models.references import ResultRefData


def _numbers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: number for name, number in value.items() if number is not None}


TokenUsage = Annotated[dict[str, int] | None, BeforeValidator(_numbers)]
"""Tokens by kind (input_tokens, output_tokens, …); None where the server does not say."""

References = Annotated[
    dict[str, ResultRefData], BeforeValidator(lambda value: {} if value is None else value)
]
"""What the `[[ref:KEY]]` of a summary stand for."""

Score = Annotated[float, BeforeValidator(lambda value: 0.0 if value is None else value)]
"""0 to 1, higher is better; null is 0."""


class _AgentResult(Model):
    """What every agent says; `success` is False where it answered that it did not succeed."""

    success: bool = True
    summary: Text = ""
    execution_time_ms: Count = 0
    iterations: Count = 0
    token_usage: TokenUsage = None


class _SearchResult(_AgentResult):
    """What every search says."""

    count: Count = 0
    summary_raw: Text = ""
    """The summary with `[[ref:KEY]]` markup."""
    result_refs: References = Field(default_factory=dict)
    search_strategy: dict[str, Any] | None = None


class ImageSearchResultItem(Model):
    """A picture that was found; `score` 0 to 1, higher is better."""

    image_id: str = Field(validation_alias=either("image_id", "id"))
    score: Score = 0.0
    filename: str | None = None
    title: str | None = None
    description: str | None = None
    folder_id: str | None = None
    thumbnail_url: str | None = None
    features: Rows[dict[str, Any]] = rows("features")


class ImageSearchAgentResult(_SearchResult):
    """Pictures that an agent found."""

    results: Rows[ImageSearchResultItem] = rows("results", "items")
    result_ids: Rows[str] = rows("result_ids")

    def as_collection(self) -> FileCollection:
        """The pictures, each with score, title, description and folder."""
        return images_of(
            [
                (item.image_id, item.filename, item.model_dump(include=_KEPT_OF_IMAGES))
                for item in self.results
            ],
            "search",
        )


_KEPT_OF_IMAGES = {"score", "title", "description", "folder_id"}


class DocumentChunkResultItem(Model):
    """A part of a document that was found; `score` 0 to 1, higher is better."""

    chunk_id: str = Field(validation_alias=either("chunk_id", "id"))
    document_id: Text = ""
    document_filename: Text = ""
    text: Text = Field(default="", validation_alias=either("text", "content"))
    score: Score = Field(default=0.0, validation_alias=either("score", "similarity_score"))
    page_numbers: Rows[int] = rows("page_numbers")
    chunk_index: int | None = None


class DocumentSearchAgentResult(_SearchResult):
    """Parts of documents that an agent found."""

    results: Rows[DocumentChunkResultItem] = rows("results", "items")
    chunk_ids: Rows[str] = rows("chunk_ids")
    document_ids: Rows[str] = rows("document_ids")
    search_mode: Text = ""

    def as_collection(self, by: Literal["document", "chunk"] = "document") -> FileCollection:
        """The documents, each with its best part's score and place; or, by `chunk`, every part by its own id."""
        best: dict[str, DocumentChunkResultItem] = {}
        for item in self.results:
            key = item.chunk_id if by == "chunk" else item.document_id
            if key and (key not in best or item.score > best[key].score):
                best[key] = item
        refs = (
            FileRef(key, filename=item.document_filename or None, metadata=_place(item))
            for key, item in best.items()
        )
        return FileCollection(tuple(refs), "documents", "search")


def _place(item: DocumentChunkResultItem) -> dict[str, Any]:
    return {
        "score": item.score,
        "document_id": item.document_id,
        "chunk_id": item.chunk_id,
        "page_numbers": item.page_numbers,
    }


class MatchedSceneItem(Model):
    """A scene that was found; times in seconds."""

    scene_id: str = Field(validation_alias=either("scene_id", "id"))
    scene_index: Count = 0
    start_time: float = 0.0
    end_time: float = 0.0
    time_range_formatted: Text = ""
    description: Text = ""
    tags: Rows[str] = rows("tags")
    score: Score = 0.0
    thumbnail_url: str | None = None


class VideoSearchResultItem(Model):
    """A video that was found, and which of its scenes."""

    video_id: str = Field(validation_alias=either("video_id", "id"))
    video_filename: Text = ""
    video_description: Text = ""
    duration_seconds: float | None = None
    resolution: str | None = None
    thumbnail_url: str | None = None
    score: Score = 0.0
    matched_scenes: Rows[MatchedSceneItem] = rows("matched_scenes")


class VideoSearchAgentResult(_SearchResult):
    """Videos that an agent found."""

    results: Rows[VideoSearchResultItem] = rows("results", "items")
    video_ids: Rows[str] = rows("video_ids")
    search_mode: Text = ""

    def as_collection(self) -> FileCollection:
        """The videos, each with score and description."""
        refs = (
            FileRef(
                item.video_id,
                "video/*",
                item.video_filename or None,
                metadata={"score": item.score, "description": item.video_description},
            )
            for item in self.results
        )
        return FileCollection(tuple(refs), "videos", "search")


class ChunkReference(Model):
    """A part of a document that an analysis cites."""

    chunk_id: str = Field(validation_alias=either("chunk_id", "id"))
    document_id: Text = ""
    document_filename: str | None = None
    page_numbers: Rows[int] = rows("page_numbers")


class SynthesizeResult(_AgentResult):
    """A report in Markdown; `saved_document_id` where it was saved as a document."""

    report: Text = ""
    image_count: Count = 0
    document_count: Count = 0
    saved_document_id: str | None = None


class DocumentAnalysisResult(_AgentResult):
    """An analysis in Markdown, and what it cites."""

    analysis: Text = ""
    document_count: Count = 0
    categorization: dict[str, Any] | None = None
    chunk_references: Rows[ChunkReference] = rows("chunk_references")


class FolderActionDetail(Model):
    """Something that was done to folders: create, move_files, create_and_move_files …"""

    action: Text = ""
    folder_id: str | None = None
    folder_name: str | None = None
    file_count: int | None = None


class OrganizeResult(_AgentResult):
    """What was done to folders and files."""

    actions: Rows[FolderActionDetail] = rows("actions")
    folders_created: Count = 0
    files_moved: Count = 0
