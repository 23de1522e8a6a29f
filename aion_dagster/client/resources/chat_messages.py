"""Messages of chats, their answers, and the plans that these propose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.errors import QuotaExceededError
from aion_dagster.client.identifiers import maybe_ids
from aion_dagster.client.models.chat_tokens import ChatToken
from aion_dagster.client.models.chats import ChatResponse, PlanActionResponse
from aion_dagster.client.models.replies import REPLY
from aion_dagster.client.resources.base import Resource, read_as
from aion_dagster.client.resources.chat_stream import of_chat, stream_tokens
from aion_dagster.client.retrying import Repeat

MESSAGE: Final = 10_000


class ChatMessages(Resource):
    """Say something; a message is paid for by its tokens and is never sent twice by itself."""

    async def send(
        self,
        message: str,
        *,
        session_id: str,
        force_detailed_analysis: bool = False,
        expected_image_ids: Sequence[str] | None = None,
    ) -> ChatResponse:
        """Say something and wait for the whole answer.

        Args:
            message: 1 to 10,000 characters.
            session_id: the session.
            force_detailed_analysis: look at pictures in high resolution.
            expected_image_ids: pictures that the session should be about; the server sees to it that it is.

        Raises:
            ChatQuotaExceededError: the tokens or messages of the session, or another quota, are used up.
        """
        operation = "POST /chat/sessions/{session_id}/messages"
        try:
            data = await self._ask(
                REPLY,
                operation,
                ids={"session_id": session_id},
                body=_said(message, force_detailed_analysis, expected_image_ids),
                repeat=Repeat.REFUSED,
            )
        except QuotaExceededError as error:
            raise of_chat(error) from None
        return read_as(ChatResponse, {"session_id": session_id} | data, operation)

    def send_stream(
        self,
        message: str,
        *,
        session_id: str,
        force_detailed_analysis: bool = False,
        expected_image_ids: Sequence[str] | None = None,
        debug_reasoning: bool = False,
    ) -> AsyncIterator[ChatToken]:
        """Say something and take the answer piece by piece, see `send`; `debug_reasoning` shows how agents think.

        Raises:
            ChatError: the server said that it failed.
            SSEStreamError: the answer broke off, or cannot be understood.
        """
        call = Call(
            "POST /chat/sessions/{session_id}/messages/stream",
            ids={"session_id": session_id},
            query={"debug_reasoning": debug_reasoning or None},
            body=_said(message, force_detailed_analysis, expected_image_ids),
            repeat=Repeat.REFUSED,
        )
        return stream_tokens(self._transport, call)

    async def approve_plan(self, session_id: str, plan_id: str) -> PlanActionResponse:
        """Have a plan carried out that the event `plan_pending_approval` named; never tried again."""
        return await self._act(session_id, plan_id, "approve", Repeat.REFUSED)

    async def cancel_plan(self, session_id: str, plan_id: str) -> PlanActionResponse:
        """Drop a plan."""
        return await self._act(session_id, plan_id, "cancel", Repeat.ANSWERED)

    async def _act(
        self, session_id: str, plan_id: str, action: str, repeat: Repeat
    ) -> PlanActionResponse:
        operation = "POST /chat/sessions/{session_id}/plans/{plan_id}/action"
        data = await self._ask(
            REPLY,
            operation,
            ids={"session_id": session_id, "plan_id": plan_id},
            body={"action": action},
            repeat=repeat,
        )
        known = {"plan_id": plan_id, "action_taken": action}
        return read_as(PlanActionResponse, known | data, operation)


def _said(message: str, detailed: bool, image_ids: Sequence[str] | None) -> dict[str, Any]:
    limits.check_text("message", message, MESSAGE, 1)
    return {
        "message": message,
        "force_detailed_analysis": detailed,
        "expected_image_ids": maybe_ids("expected_image_ids", image_ids),
    }
