"""Reading an answer that is streamed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx_sse
import orjson

from aion_dagster.client.answers import is_quota
from aion_dagster.client.calls import Call
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    ChatError,
    ChatQuotaExceededError,
    QuotaExceededError,
    SSEStreamError,
)
from aion_dagster.client.models.chat_tokens import ChatToken, ChatTokenType
from aion_dagster.client.scrubbing import scrubbed
from aion_dagster.client.transport import Transport


def of_chat(error: QuotaExceededError) -> ChatQuotaExceededError:
    """The same, as what it is of: the token limit of a session, say."""
    return ChatQuotaExceededError(
        error.message,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
        status=error.status,
        partial_results=error.partial_results,
    )


async def stream_tokens(transport: Transport, call: Call) -> AsyncIterator[ChatToken]:
    """The events of a chat's answer, all of them, until it is closed.

    Raises:
        ChatError: the server said that it failed; `details` is what it said, `details["content"]` the text so far.
        SSEStreamError: the stream broke off before its end, or cannot be understood; `details["content"]` likewise.
        ChatQuotaExceededError: a quota is used up.
        AionvisionError: it did not begin.
    """
    answer = _Answer()
    begun = False
    try:
        async with transport.events(call) as events:
            begun = True
            async for event in events:
                token = _token(event, answer)
                if token.type in _FAILURES:
                    raise _failure(token, answer)
                answer.take(token)
                yield token
                if token.type is ChatTokenType.CLOSE:
                    return
    except (ChatError, SSEStreamError) as error:
        raise scrubbed(error, transport.config.api_key) from None
    except QuotaExceededError as error:
        raise of_chat(error) from None
    except (AionvisionConnectionError, AionvisionTimeoutError) as error:
        if not begun:
            raise
        if answer.ended:
            # Everything has come; nothing is lost by how the connection ended.
            return
        raise _broken(error.message, answer) from None
    if not answer.ended:
        raise _broken(f"{call.operation}: the stream ended before the answer did", answer)


class _Answer:
    """What came so far."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.message_id: str | None = None
        self.ended = False

    def take(self, token: ChatToken) -> None:
        said = token.data.get("message_id")
        self.message_id = said if isinstance(said, str) else self.message_id
        if token.type is ChatTokenType.TOKEN and token.content:
            self.pieces.append(token.content)
        self.ended = self.ended or token.type in _ENDS

    def details(self) -> dict[str, Any]:
        """For an error: what was paid for is not lost with it."""
        return {"content": "".join(self.pieces), "message_id": self.message_id}


_FAILURES: Final = (ChatTokenType.ERROR, ChatTokenType.AUTH_ERROR)
_ENDS: Final = (
    ChatTokenType.COMPLETE,
    ChatTokenType.PLAN_PENDING_APPROVAL,
    ChatTokenType.CLOSE,
)


def _token(event: httpx_sse.ServerSentEvent, answer: _Answer) -> ChatToken:
    """An event whose data is an object, or nothing.

    Raises:
        SSEStreamError: it is neither.
    """
    try:
        data = orjson.loads(event.data) if event.data else None
    except ValueError:
        data = event.data
    if data is not None and not isinstance(data, dict):
        raise SSEStreamError(
            f"the event {event.event!r} of a chat holds no JSON object",
            code="STREAM_MALFORMED",
            details=answer.details(),
        )
    data = data or {}
    # Events without a name are named inside.
    name = event.event if event.event != "message" else data.get("type") or event.event
    content = data.get("content", data.get("message"))
    return ChatToken(ChatTokenType(str(name)), content if isinstance(content, str) else None, data)


def _failure(token: ChatToken, answer: _Answer) -> ChatError:
    inner = token.data.get("error")
    said = {**token.data, **inner} if isinstance(inner, Mapping) else token.data
    words = (said.get(name) for name in ("message", "error", "detail"))
    message = next((word for word in words if isinstance(word, str) and word), "no reason given")
    codes = (said.get(name) for name in ("code", "error_code"))
    code = next((code for code in codes if isinstance(code, str) and code), None)
    kind = ChatQuotaExceededError if is_quota(code) else ChatError
    return kind(
        f"the chat failed: {message}",
        code=code or token.type.upper(),
        details={**token.data, **answer.details()},
    )


def _broken(message: str, answer: _Answer) -> AionvisionError:
    return SSEStreamError(message, code="STREAM_BROKEN", details=answer.details())
