"""Pieces of an answer that is streamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aion_dagster.client.models.base import OpenEnum
from aion_dagster.client.models.references import (
    ParsedReferences,
    ResultRefData,
    parse_references,
    resolve_content,
    result_refs,
)


class ChatTokenType(OpenEnum):
    """What a piece is; words that nobody has told us of are kept."""

    CONNECTION = "connection"
    THINKING = "thinking"
    THINKING_STEP = "thinking_step"
    STATUS = "status"
    TOOL_INVOCATION = "tool_invocation"
    TOOL_RESULT = "tool_result"
    IMAGE_RESULTS = "image_results"
    TOKEN = "token"  # noqa: S105 - a piece of text
    PLAN_PENDING_APPROVAL = "plan_pending_approval"
    COMPLETE = "complete"
    ERROR = "error"
    AUTH_ERROR = "auth_error"
    RECONNECTING = "reconnecting"
    PING = "ping"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class ChatToken:
    """A piece of an answer.

    Args:
        type: what it is.
        content: the text of a `token`, the whole text of `complete`, a `status` or `thinking_step` in words.
        data: everything that the server said.
    """

    type: ChatTokenType
    content: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def resolved_content(self) -> str | None:
        """The whole text as a reader sees it; None unless this is `complete`."""
        if self.type is not ChatTokenType.COMPLETE:
            return None
        resolved = self.data.get("resolved_content")
        if isinstance(resolved, str):
            return resolved
        return resolve_content(self.content or "", self._metadata)

    @property
    def references(self) -> ParsedReferences | None:
        """What the whole text refers to; None unless this is `complete`."""
        if self.type is not ChatTokenType.COMPLETE:
            return None
        return parse_references(self.content or "", self._metadata)

    @property
    def result_refs(self) -> dict[str, ResultRefData] | None:
        """What `[[ref:KEY]]` stands for, by its key; None unless this is `complete`."""
        return result_refs(self._metadata) if self.type is ChatTokenType.COMPLETE else None

    @property
    def _metadata(self) -> dict[str, Any]:
        """Servers say it in the event itself, or under `metadata`."""
        inside = self.data.get("metadata")
        return {**self.data, **(inside if isinstance(inside, Mapping) else {})}
