"""`client.chats`: conversations about the library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.identifiers import maybe_ids, some_ids
from aion_dagster.client.models.chats import (
    ChatImageList,
    ChatMessage,
    ChatSession,
    ChatSessionDetail,
    ImageReference,
    SessionList,
)
from aion_dagster.client.models.replies import REPLY
from aion_dagster.client.resources.base import pages, read_as
from aion_dagster.client.resources.chat_messages import ChatMessages
from aion_dagster.client.resources.chat_session import ChatSessionContext, SyncChatSessionContext
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

SEARCH: Final = 200
QUERY: Final = 500
IMAGES: Final = 1000
DOCUMENTS: Final = 100
VIDEOS: Final = 100
MESSAGES: Final = 1000
ALL_IMAGES: Final = 5000
FORMATS: Final = ("json", "markdown", "text")


class ChatResource(ChatMessages):
    """Sessions, what they are about, and what is said in them."""

    def session(
        self,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
        auto_close: bool = True,
    ) -> ChatSessionContext:
        """A session that is opened by `async with` and closed at its end, unless `auto_close` is False."""
        return ChatSessionContext(
            self,
            title=title,
            image_ids=image_ids,
            use_all_images=use_all_images,
            auto_close=auto_close,
        )

    async def create_session(
        self,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
    ) -> ChatSession:
        """A new session, about all pictures or those given (1,000 at most)."""
        limits.check_title(title)
        selected = maybe_ids("image_ids", image_ids, IMAGES)
        session = await self._ask(
            ChatSession,
            "POST /chat/sessions",
            body={
                "title": title,
                "initial_image_ids": selected,
                "use_all_images": use_all_images,
            },
            repeat=Repeat.REFUSED,
        )
        # The answer says no more than id and title.
        asked = {"use_all_images": use_all_images, "selected_image_count": len(selected or ())}
        told = session.model_fields_set
        return session.model_copy(update={k: v for k, v in asked.items() if k not in told})

    async def get_session(
        self,
        session_id: str,
        *,
        include_messages: bool = True,
        message_limit: int | None = None,
    ) -> ChatSessionDetail:
        """A session with its messages, of which `message_limit` (1 to 1,000) are sent."""
        limits.check_number("message_limit", message_limit, 1, MESSAGES)
        return await self._ask(
            ChatSessionDetail,
            "GET /chat/sessions/{session_id}",
            ids={"session_id": session_id},
            query={"include_messages": include_messages, "message_limit": message_limit},
        )

    async def list_sessions(
        self,
        *,
        limit: int = 20,
        offset: int = 0,
        active_only: bool = False,
        search: str | None = None,
        min_messages: int | None = None,
    ) -> SessionList:
        """Sessions.

        Args:
            limit: 1 to 100 of them.
            offset: after so many.
            active_only: only those that are not closed.
            search: words in titles or messages, 200 characters at most.
            min_messages: only those with as many messages.
        """
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        limits.check_text("search", search, SEARCH)
        limits.check_number("min_messages", min_messages, 0, float("inf"))
        page = await self._ask(
            SessionList,
            "GET /chat/sessions",
            query={
                "limit": limit,
                "offset": offset,
                "is_active": True if active_only else None,
                "search": search,
                "min_messages": min_messages,
            },
        )
        return page.placed(offset, limit)

    async def iter_sessions(
        self, *, page_size: int = 20, active_only: bool = False
    ) -> AsyncIterator[ChatSession]:
        """Every session, `page_size` 1 to 100 at a time."""

        async def page(offset: int, limit: int) -> Sequence[ChatSession]:
            found = await self.list_sessions(limit=limit, offset=offset, active_only=active_only)
            return found.items

        limits.check_number("page_size", page_size, 1, limits.PAGE)
        async for session in pages(page, page_size):
            yield session

    async def get_messages(self, session_id: str, *, limit: int | None = None) -> list[ChatMessage]:
        """Messages of a session, `limit` (1 to 1,000) of them."""
        return (await self.get_session(session_id, message_limit=limit)).messages

    async def update_images(self, session_id: str, image_ids: Sequence[str]) -> dict[str, Any]:
        """Say which pictures a session is about, 1,000 at most."""
        return await self._ask(
            REPLY,
            "PUT /chat/sessions/{session_id}/images",
            ids={"session_id": session_id},
            body={"image_ids": some_ids("image_ids", image_ids, 0, IMAGES)},
        )

    async def update_documents(
        self, session_id: str, document_ids: Sequence[str]
    ) -> dict[str, Any]:
        """Say which documents a session is about, 100 at most."""
        return await self._ask(
            REPLY,
            "PUT /chat/sessions/{session_id}/documents",
            ids={"session_id": session_id},
            body={"document_ids": some_ids("document_ids", document_ids, 0, DOCUMENTS)},
        )

    async def update_videos(self, session_id: str, video_ids: Sequence[str]) -> dict[str, Any]:
        """Say which videos a session is about, 100 at most."""
        return await self._ask(
            REPLY,
            "PUT /chat/sessions/{session_id}/videos",
            ids={"session_id": session_id},
            body={"video_ids": some_ids("video_ids", video_ids, 0, VIDEOS)},
        )

    async def update_mode(self, session_id: str, use_all_images: bool) -> dict[str, Any]:
        """Say whether a session is about all pictures, or those that are selected."""
        return await self._ask(
            REPLY,
            "PATCH /chat/sessions/{session_id}/mode",
            ids={"session_id": session_id},
            body={"use_all_images": use_all_images},
        )

    async def close_session(self, session_id: str) -> dict[str, Any]:
        """Close a session; its messages stay."""
        return await self._ask(
            REPLY, "DELETE /chat/sessions/{session_id}", ids={"session_id": session_id}
        )

    async def rename_session(self, session_id: str, title: str) -> dict[str, Any]:
        """Give a session another title of 1 to 255 characters."""
        limits.check_text("title", title, limits.TITLE, 1)
        return await self._ask(
            REPLY,
            "PATCH /chat/sessions/{session_id}/title",
            ids={"session_id": session_id},
            body={"title": title},
        )

    async def export_session(
        self,
        session_id: str,
        *,
        format: str = "markdown",
        include_metadata: bool = False,
    ) -> bytes:
        """A session as a file: json, markdown or text."""
        if format not in FORMATS:
            raise limits.refuse("format", f"{format!r} is none of {', '.join(FORMATS)}")
        return await self._transport.content(
            Call(
                "GET /chat/sessions/{session_id}/export",
                ids={"session_id": session_id},
                query={"format": format, "include_metadata": include_metadata},
            )
        )

    async def search_images(
        self, query: str, *, limit: int = 50, offset: int = 0
    ) -> list[ImageReference]:
        """Pictures that a chat could be about: `query` 1 to 500 characters, `limit` 1 to 100 after `offset`."""
        limits.check_text("query", query, QUERY, 1)
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        operation = "POST /chat/images/search"
        data = await self._ask(
            REPLY,
            operation,
            body={"query": query, "limit": limit, "offset": offset},
            repeat=Repeat.ANSWERED,
        )
        found = data.get("results", data.get("items"))
        return read_as(list[ImageReference], found or [], operation)

    async def get_all_images(self, *, limit: int = 1000, offset: int = 0) -> ChatImageList:
        """Ids of all pictures, `limit` 1 to 5,000 after `offset`."""
        limits.check_number("limit", limit, 1, ALL_IMAGES)
        limits.check_number("offset", offset, 0, float("inf"))
        page = await self._ask(
            ChatImageList, "GET /chat/images/all", query={"limit": limit, "offset": offset}
        )
        return page.placed(len(page.image_ids), offset, limit)


class SyncChatResource(SyncResource[ChatResource]):
    """The same, blocking."""

    send = blocking(ChatResource.send)
    send_stream = iterating(ChatResource.send_stream)
    create_session = blocking(ChatResource.create_session)
    get_session = blocking(ChatResource.get_session)
    list_sessions = blocking(ChatResource.list_sessions)
    iter_sessions = iterating(ChatResource.iter_sessions)
    get_messages = blocking(ChatResource.get_messages)
    update_images = blocking(ChatResource.update_images)
    update_documents = blocking(ChatResource.update_documents)
    update_videos = blocking(ChatResource.update_videos)
    update_mode = blocking(ChatResource.update_mode)
    close_session = blocking(ChatResource.close_session)
    rename_session = blocking(ChatResource.rename_session)
    export_session = blocking(ChatResource.export_session)
    search_images = blocking(ChatResource.search_images)
    get_all_images = blocking(ChatResource.get_all_images)
    approve_plan = blocking(ChatResource.approve_plan)
    cancel_plan = blocking(ChatResource.cancel_plan)

    def session(
        self,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
        auto_close: bool = True,
    ) -> SyncChatSessionContext:
        """A session that is opened by `with` and closed at its end, unless `auto_close` is False."""
        return SyncChatSessionContext(
            self._asynchronous.session(
                title=title,
                image_ids=image_ids,
                use_all_images=use_all_images,
                auto_close=auto_close,
            )
        )
