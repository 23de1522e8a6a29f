"""`client.chat_session()`: a conversation that is opened and closed by a block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aion_dagster.client.errors import AionvisionError, ChatError, ResourceNotFoundError
from aion_dagster.client.models.chat_tokens import ChatToken
from aion_dagster.client.models.chats import (
    ChatMessage,
    ChatResponse,
    ChatSession,
    PlanActionResponse,
)
from aion_dagster.client.runtime import run_to_end
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

if TYPE_CHECKING:
    from aion_dagster.client.resources.chats import ChatResource


class ChatSessionContext:
    """A session; use it as `async with client.chat_session() as session`."""

    def __init__(
        self,
        chats: ChatResource,
        *,
        title: str | None = None,
        image_ids: Sequence[str] | None = None,
        use_all_images: bool = True,
        auto_close: bool = True,
    ) -> None:
        """Nothing is asked before the block begins; see `ChatResource.session`."""
        self._chats = chats
        self._title = title
        self._image_ids = image_ids
        self._use_all_images = use_all_images
        self._auto_close = auto_close
        self._session: ChatSession | None = None

    @property
    def session(self) -> ChatSession:
        """The session as it was opened.

        Raises:
            ChatError: it is not.
        """
        if self._session is None:
            raise ChatError("the chat session is not open; use it in a `with` block", code="CLOSED")
        return self._session

    @property
    def session_id(self) -> str:
        """Its id, with which `client.chats` goes on after the block."""
        return self.session.id

    async def __aenter__(self) -> Self:
        """Open it."""
        self._session = await self._chats.create_session(
            title=self._title, image_ids=self._image_ids, use_all_images=self._use_all_images
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; an error inside the block stands above one of closing."""
        if self._session is None or not self._auto_close:
            return
        try:
            await self._chats.close_session(self._session.id)
        except ResourceNotFoundError:
            # Closed before: by the block, or by an answer that was lost.
            return
        except AionvisionError:
            if error is None:
                raise

    async def send(
        self,
        message: str,
        *,
        force_detailed_analysis: bool = False,
        expected_image_ids: Sequence[str] | None = None,
    ) -> ChatResponse:
        """Say something and wait for the whole answer, see `ChatResource.send`."""
        return await self._chats.send(
            message,
            session_id=self.session_id,
            force_detailed_analysis=force_detailed_analysis,
            expected_image_ids=expected_image_ids,
        )

    def send_stream(
        self,
        message: str,
        *,
        force_detailed_analysis: bool = False,
        expected_image_ids: Sequence[str] | None = None,
    ) -> AsyncIterator[ChatToken]:
        """Say something and take the answer piece by piece, see `ChatResource.send_stream`."""
        return self._chats.send_stream(
            message,
            session_id=self.session_id,
            force_detailed_analysis=force_detailed_analysis,
            expected_image_ids=expected_image_ids,
        )

    async def update_images(self, image_ids: Sequence[str]) -> dict[str, Any]:
        """Say which pictures it is about, 1,000 at most."""
        return await self._chats.update_images(self.session_id, image_ids)

    async def update_documents(self, document_ids: Sequence[str]) -> dict[str, Any]:
        """Say which documents it is about, 100 at most."""
        return await self._chats.update_documents(self.session_id, document_ids)

    async def update_videos(self, video_ids: Sequence[str]) -> dict[str, Any]:
        """Say which videos it is about, 100 at most."""
        return await self._chats.update_videos(self.session_id, video_ids)

    async def approve_plan(self, plan_id: str) -> PlanActionResponse:
        """Have a plan carried out; never tried again."""
        return await self._chats.approve_plan(self.session_id, plan_id)

    async def cancel_plan(self, plan_id: str) -> PlanActionResponse:
        """Drop a plan."""
        return await self._chats.cancel_plan(self.session_id, plan_id)

    async def get_messages(self, *, limit: int | None = None) -> list[ChatMessage]:
        """Its messages, `limit` (1 to 1,000) of them."""
        return await self._chats.get_messages(self.session_id, limit=limit)


class SyncChatSessionContext(SyncResource[ChatSessionContext]):
    """The same, blocking; use it as `with client.chat_session() as session`."""

    def __enter__(self) -> Self:
        """Open it."""
        run_to_end(self._asynchronous.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        run_to_end(self._asynchronous.__aexit__(kind, error, traceback))

    @property
    def session(self) -> ChatSession:
        """The session as it was opened."""
        return self._asynchronous.session

    @property
    def session_id(self) -> str:
        """Its id."""
        return self._asynchronous.session_id

    send = blocking(ChatSessionContext.send)
    send_stream = iterating(ChatSessionContext.send_stream)
    update_images = blocking(ChatSessionContext.update_images)
    update_documents = blocking(ChatSessionContext.update_documents)
    update_videos = blocking(ChatSessionContext.update_videos)
    approve_plan = blocking(ChatSessionContext.approve_plan)
    cancel_plan = blocking(ChatSessionContext.cancel_plan)
    get_messages = blocking(ChatSessionContext.get_messages)
