"""`client.agent_search`: agents that search, without a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.identifiers import maybe_ids
from aion_dagster.client.models.agents import (
    DocumentSearchAgentResult,
    ImageSearchAgentResult,
    VideoSearchAgentResult,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking

MOST_RESULTS: Final = 500


class AgentSearchResource(Resource):
    """Searches in plain words; each is paid for by its tokens, so one whose answer was lost is not made again."""

    async def images(
        self,
        query: str,
        *,
        limit: int = 50,
        folder_id: str | None = None,
        image_ids: Sequence[str] | None = None,
    ) -> ImageSearchAgentResult:
        """Pictures that fit.

        Args:
            query: what to find, 1 to 2,000 characters.
            limit: 1 to 500 pictures.
            folder_id: in this folder only.
            image_ids: among these only.
        """
        _check(query, limit)
        return await self._ask(
            ImageSearchAgentResult,
            "POST /agents/search/images",
            body={
                "query": query,
                "limit": limit,
                "folder_id": folder_id,
                "image_ids": maybe_ids("image_ids", image_ids),
            },
            repeat=Repeat.ANSWERED,
        )

    async def documents(
        self,
        query: str,
        *,
        limit: int = 50,
        document_types: Sequence[str] | None = None,
        document_ids: Sequence[str] | None = None,
    ) -> DocumentSearchAgentResult:
        """Parts of documents that fit.

        Args:
            query: what to find, 1 to 2,000 characters.
            limit: 1 to 500 parts.
            document_types: of these only: pdf, docx, txt.
            document_ids: among these only.
        """
        _check(query, limit)
        return await self._ask(
            DocumentSearchAgentResult,
            "POST /agents/search/documents",
            body={
                "query": query,
                "limit": limit,
                "document_types": maybe_ids("document_types", document_types),
                "document_ids": maybe_ids("document_ids", document_ids),
            },
            repeat=Repeat.ANSWERED,
        )

    async def videos(
        self,
        query: str,
        *,
        limit: int = 50,
        folder_id: str | None = None,
        video_ids: Sequence[str] | None = None,
    ) -> VideoSearchAgentResult:
        """Videos and scenes that fit.

        Args:
            query: what to find, 1 to 2,000 characters.
            limit: 1 to 500 videos.
            folder_id: in this folder only.
            video_ids: among these only.
        """
        _check(query, limit)
        return await self._ask(
            VideoSearchAgentResult,
            "POST /agents/search/videos",
            body={
                "query": query,
                "limit": limit,
                "folder_id": folder_id,
                "video_ids": maybe_ids("video_ids", video_ids),
            },
            repeat=Repeat.ANSWERED,
        )


class SyncAgentSearchResource(SyncResource[AgentSearchResource]):
    """The same, blocking."""

    images = blocking(AgentSearchResource.images)
    documents = blocking(AgentSearchResource.documents)
    videos = blocking(AgentSearchResource.videos)


def _check(query: str, limit: int) -> None:
    limits.check_text("query", query, limits.INTENT, 1)
    limits.check_number("limit", limit, 1, MOST_RESULTS)
