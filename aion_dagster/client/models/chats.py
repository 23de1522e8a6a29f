"""Chats: sessions, messages, answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.collections import FileCollection, images_of
from aion_dagster.client.models.listing import Listing
from aion_dagster.client.models.nulls import Count, Flag, Text
from aion_dagster.client.models.references import (
    ParsedReferences,
    ResultRefData,
    parse_references,
    resolve_content,
    result_refs,
)


class MessageRole(OpenEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class ImageReference(Model):
    """A picture that a message refers to, or that a search for one found."""

    image_id: Text = Field(default="", validation_alias=either("image_id", "id"))
    filename: Text = ""
    thumbnail_url: str | None = None
    description: str | None = None
    confidence: float | None = None
    title: str | None = None
    stored_url: str | None = None
    # Pictures that `search_images` found.
    relevance_score: float | None = None
    medium_url: str | None = None
    full_url: str | None = None
    created_at: UtcDatetime | None = None


def collection_of(images: list[ImageReference]) -> FileCollection:
    """The pictures, each with title, description and confidence."""
    kept = {"title", "description", "confidence"}
    return images_of([(i.image_id, i.filename, i.model_dump(include=kept)) for i in images])


def context_of(value: Any) -> Any:
    """Pictures of a message, which come as a list of objects or ids, as an object around one, or as one picture."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        if value.get("image_id") or value.get("id"):
            return [value]
        inside = [each for each in value.values() if isinstance(each, list)]
        return context_of(inside[0]) if inside else []
    if not isinstance(value, list):
        return value
    return [{"image_id": each} if isinstance(each, str) else each for each in value]


Images = Annotated[list[ImageReference], BeforeValidator(context_of)]


class _Said(Model):
    """A text with references."""

    content: Text = ""
    """With `[[…]]` markup, see `references`."""
    metadata: dict[str, Any] | None = None

    @property
    def _pictures(self) -> list[ImageReference]:
        return []

    @property
    def resolved_content(self) -> str:
        """The text with every reference replaced by what a reader sees."""
        return resolve_content(self.content, self.metadata)

    @property
    def references(self) -> ParsedReferences:
        """What the text refers to."""
        ids = [image.image_id for image in self._pictures if image.image_id]
        return parse_references(self.content, self.metadata, ids)

    @property
    def result_refs(self) -> dict[str, ResultRefData]:
        """What `[[ref:KEY]]` stands for, by its key."""
        return result_refs(self.metadata or {})

    def as_collection(self) -> FileCollection:
        """The pictures that came with the text."""
        return collection_of(self._pictures)


class ChatMessage(_Said):
    """A message of a session."""

    id: str
    role: MessageRole = MessageRole.ASSISTANT
    created_at: UtcDatetime | None = None
    token_count: Count = 0
    processing_time_ms: int | None = None
    image_context: Images = Field(default_factory=list)

    @property
    def _pictures(self) -> list[ImageReference]:
        return self.image_context


class ChatResponse(_Said):
    """An answer to a message; `remaining_…` of the session, None where the server does not say."""

    message_id: Text = Field(default="", validation_alias=either("message_id", "id"))
    session_id: Text = ""
    token_count: Count = 0
    provider: Text = ""
    model: Text = ""
    processing_time_ms: Count = 0
    images: Images = Field(default_factory=list, validation_alias=either("images", "image_context"))
    remaining_tokens: int | None = None
    remaining_messages: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_metadata(cls, data: Any) -> Any:
        """Pictures that stand in the metadata only."""
        metadata = data.get("metadata") if isinstance(data, dict) else None
        context = metadata.get("image_context") if isinstance(metadata, dict) else None
        if not context or data.get("images") or data.get("image_context"):
            return data
        return data | {"images": context}

    @property
    def _pictures(self) -> list[ImageReference]:
        return self.images


class ChatSession(Model):
    """A session; `remaining_…` until its limits."""

    id: str = Field(validation_alias=either("id", "session_id"))
    title: Text = ""
    total_messages: Count = 0
    total_tokens: Count = 0
    remaining_tokens: Count = 0
    remaining_messages: Count = 0
    is_active: bool = True
    use_all_images: bool = True
    selected_image_count: Count = 0
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None
    last_message_at: UtcDatetime | None = None
    last_message_preview: str | None = None
    last_user_message: str | None = None


class SessionList(Model):
    """A page of sessions."""

    items: Rows[ChatSession] = rows("items", "sessions")
    total: Count = Field(default=0, validation_alias=either("total", "total_count"))
    has_more: Flag = False

    def placed(self, offset: int, limit: int) -> Self:
        """The page with `has_more` worked out where the server did not say it."""
        came, known = len(self.items), self.model_fields_set
        if "has_more" in known:
            return self
        more = offset + came < self.total if "total" in known else came == limit
        return self.model_copy(update={"has_more": more and came > 0})


class ChatSessionDetail(Model):
    """A session with its messages and what they are about."""

    session: ChatSession
    messages: Rows[ChatMessage] = rows("messages")
    selected_image_ids: Rows[str] = rows("selected_image_ids")
    selected_video_ids: Rows[str] = rows("selected_video_ids")
    current_search_result_ids: Rows[str] = rows("current_search_result_ids")
    context_summary: str | None = None

    def as_collection(self) -> FileCollection:
        """What the last search found; without one, the pictures that are selected."""
        ids = self.current_search_result_ids or self.selected_image_ids
        return FileCollection.from_ids(ids, "images")


class ChatImageList(Listing):
    """A page of ids of pictures that a chat can be about."""

    image_ids: Rows[str] = rows("image_ids", "items")

    def as_collection(self) -> FileCollection:
        """The pictures."""
        return FileCollection.from_ids(self.image_ids, "images")


class PlanActionResponse(Model):
    """What became of a plan; `results` is None where it is carried out in the background."""

    success: bool = True
    plan_id: Text = ""
    message: Text = ""
    action_taken: Text = ""
    results: dict[str, Any] | None = None
    agent_results: Rows[dict[str, Any]] = rows("agent_results")
    pending_actions: Rows[dict[str, Any]] = rows("pending_actions")
    status: str | None = None
