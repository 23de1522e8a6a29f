"""Answers of chats that are streamed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_api import KEY, LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.chat_tokens import ChatToken, ChatTokenType
from aion_dagster.client.resources.chats import ChatResource, SyncChatResource

STREAM = "POST /chat/sessions/s1/messages/stream"


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n".encode()


def streamed(*events: bytes, **more: Any) -> Reply:
    return Reply(b"".join(events), headers={"Content-Type": "text/event-stream"}, **more)


BASED = event("token", content="Based", token_index=0)
ON = event("token", content=" on", token_index=1)
COMPLETE = event(
    "complete",
    content="Based on [[img:a1|pole.jpg]] and [[ref:0]]",
    message_id="m1",
    image_context=[{"image_id": "a1b2"}],
    metadata={"result_refs": {"ref:0": {"count": 4, "ids": []}}},
)


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def chats(client: SyncAionVision) -> SyncChatResource:
    return SyncChatResource(ChatResource(client.transport))


def test_every_event_comes_in_its_order(server: LoopbackApi, chats: SyncChatResource) -> None:
    kinds = [
        "connection",
        "thinking",
        "thinking_step",
        "status",
        "tool_invocation",
        "tool_result",
        "image_results",
        "token",
        "plan_pending_approval",
        "an event of tomorrow",
        "complete",
        "ping",
        "close",
    ]
    server.on(STREAM, streamed(*(event(kind, number=n) for n, kind in enumerate(kinds))))
    tokens = list(chats.send_stream("Hello", session_id="s1", debug_reasoning=True))
    assert [token.type for token in tokens] == kinds
    assert [token.data["number"] for token in tokens] == list(range(len(kinds)))
    assert [token.type.value for token in tokens if not token.type.is_known] == [kinds[9]]
    asked = server.requests[-1]
    assert asked.headers["accept"] == "text/event-stream"
    assert asked.query == {"debug_reasoning": ["true"]}
    assert asked.json == {"message": "Hello", "force_detailed_analysis": False}


def test_the_text_comes_piece_by_piece_and_whole(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(STREAM, streamed(BASED, ON, COMPLETE))
    first, second, whole = chats.send_stream("Hello", session_id="s1")
    assert (first.type, first.content, second.content) == (ChatTokenType.TOKEN, "Based", " on")
    assert whole.resolved_content == "Based on pole.jpg and 4"
    assert whole.references is not None
    assert whole.references.images[0].full_id == "a1b2"
    assert whole.result_refs is not None
    assert whole.result_refs["ref:0"].count == 4
    assert first.resolved_content is first.references is first.result_refs is None


def test_a_server_may_resolve_the_text_itself(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(STREAM, streamed(event("complete", content="[[x]]", resolved_content="an x")))
    [whole] = chats.send_stream("Hello", session_id="s1")
    assert whole.resolved_content == "an x"


def test_a_stream_is_awaited_too_within_a_session(server: LoopbackApi) -> None:
    server.on("POST /chat/sessions", {"session_id": "s1"})
    server.on("DELETE /chat/sessions/s1", {})
    server.on(STREAM, streamed(BASED, ON, COMPLETE))

    async def talk() -> list[ChatToken]:
        async with (
            awaited_client(server) as client,
            ChatResource(client.transport).session() as session,
        ):
            return [token async for token in session.send_stream("Hello")]

    assert [token.type for token in asyncio.run(talk())] == ["token", "token", "complete"]


def test_a_reader_may_stop_early_and_go_on_with_the_client(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(STREAM, streamed(BASED, ON, COMPLETE))
    for _ in range(40):
        for token in chats.send_stream("Hello", session_id="s1"):
            assert token.content == "Based"
            break

    async def stop_early() -> None:
        async with awaited_client(server) as awaited:
            for _ in range(40):
                async for token in ChatResource(awaited.transport).send_stream(
                    "Hello", session_id="s1"
                ):
                    assert token.content == "Based"
                    break

    asyncio.run(stop_early())
    # More often than there are connections: each was given back.
    assert len(server.asked(STREAM)) == 80


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ({"message": "It failed", "code": "AGENT_FAILED"}, "AGENT_FAILED", "It failed"),
        ({"error": "It failed"}, "ERROR", "It failed"),
        ({"error": {"code": "X", "message": "It failed"}}, "X", "It failed"),
        ({}, "ERROR", "no reason given"),
    ],
)
def test_an_error_event_is_an_error_that_keeps_the_text_so_far(
    server: LoopbackApi, chats: SyncChatResource, data: dict[str, Any], code: str, words: str
) -> None:
    server.on(STREAM, streamed(event("connection", message_id="m1"), BASED, event("error", **data)))
    with pytest.raises(errors.ChatError, match=words) as caught:
        list(chats.send_stream("Hello", session_id="s1"))
    assert caught.value.code == code
    assert caught.value.details["content"] == "Based"
    assert caught.value.details["message_id"] == "m1"
    assert not isinstance(caught.value, errors.QuotaExceededError)


def test_a_used_up_quota_and_a_missing_session_are_told_apart(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(
        STREAM,
        [
            streamed(event("error", message="200/200", code="USAGE_LIMIT_EXCEEDED")),
            streamed(event("auth_error", error="Session not found")),
        ],
    )
    with pytest.raises(errors.ChatQuotaExceededError) as quota:
        list(chats.send_stream("Hello", session_id="s1"))
    assert isinstance(quota.value, errors.ChatError)
    with pytest.raises(errors.ChatError, match="Session not found") as session:
        list(chats.send_stream("Hello", session_id="s1"))
    assert session.value.code == "AUTH_ERROR"


@pytest.mark.parametrize("code", ["TOKEN_LIMIT_EXCEEDED", "CHAT_QUOTA_EXCEEDED", "QUOTA_EXCEEDED"])
@pytest.mark.parametrize("streaming", [True, False])
def test_a_session_whose_tokens_are_used_up_is_asked_once(
    server: LoopbackApi, chats: SyncChatResource, code: str, streaming: bool
) -> None:
    """The specification answers that with the status of a rate limit."""
    operation = STREAM if streaming else STREAM.removesuffix("/stream")
    refused = {"error": "Token limit exceeded", "error_code": code, "detail": None}
    server.on(operation, Reply(refused, 429, {"Retry-After": "1", "X-Request-ID": "r"}))
    say = chats.send_stream if streaming else chats.send
    with pytest.raises(errors.ChatQuotaExceededError, match="Token limit") as caught:
        list(say("Hello", session_id="s1"))  # type: ignore[call-overload]
    assert isinstance(caught.value, errors.QuotaExceededError)
    assert (caught.value.code, caught.value.status) == (code, 429)
    assert caught.value.request_id == "r"
    assert len(server.asked(operation)) == 1


@pytest.mark.parametrize("reply", [streamed(BASED, ON), streamed(BASED, ON, promised=9999)])
def test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far(
    server: LoopbackApi, chats: SyncChatResource, reply: Reply
) -> None:
    server.on(STREAM, reply)
    came: list[str | None] = []
    stream = chats.send_stream("Hello", session_id="s1")
    with pytest.raises(errors.SSEStreamError) as caught:
        came.extend(token.content for token in stream)
    assert came == ["Based", " on"]
    assert caught.value.code == "STREAM_BROKEN"
    assert caught.value.details["content"] == "Based on"
    assert len(server.asked(STREAM)) == 1


@pytest.mark.parametrize("end", [COMPLETE, event("plan_pending_approval", plan_id="p1")])
def test_a_connection_that_breaks_after_the_end_loses_nothing(
    server: LoopbackApi, chats: SyncChatResource, end: bytes
) -> None:
    server.on(STREAM, streamed(BASED, end, promised=9999))
    assert len(list(chats.send_stream("Hello", session_id="s1"))) == 2


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (streamed(b"event: token\ndata: {oops\n\n"), "STREAM_MALFORMED"),
        (streamed(b"event: token\ndata: [1]\n\n"), "STREAM_MALFORMED"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "STREAM_BROKEN"),
    ],
)
def test_what_is_no_stream_of_objects_is_an_error(
    server: LoopbackApi, chats: SyncChatResource, reply: Reply, code: str
) -> None:
    server.on(STREAM, reply)
    with pytest.raises(errors.SSEStreamError) as caught:
        list(chats.send_stream("Hello", session_id="s1"))
    assert caught.value.code == code


def test_events_may_be_named_inside_and_hold_nothing(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(
        STREAM,
        streamed(
            b": a comment\n\n",
            b'data: {"type": "token", "content": "Hi"}\n\n',
            b"event: ping\ndata:\n\n",
            b"event: close\ndata: null\n\n",
            b"event: token\ndata: {oops\n\n",
        ),
    )
    tokens = list(chats.send_stream("Hello", session_id="s1"))
    assert [token.type for token in tokens] == ["token", "ping", "close"]


def test_a_stream_that_does_not_begin_is_the_servers_error(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(STREAM, Reply({"error": "no such session", "error_code": "NOT_FOUND"}, 404))
    with pytest.raises(errors.ResourceNotFoundError):
        list(chats.send_stream("Hello", session_id="s1"))


def test_an_error_event_never_shows_the_key(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(STREAM, streamed(event("error", message=f"bad {KEY}", headers=[f"Bearer {KEY}"])))
    with pytest.raises(errors.ChatError) as caught:
        list(chats.send_stream("Hello", session_id="s1"))
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.details}"
