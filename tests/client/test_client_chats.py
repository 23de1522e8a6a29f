"""Chats through the client: sessions, messages, what they are about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.chats import MessageRole
from aion_dagster.client.resources.chats import ChatResource, SyncChatResource

SESSIONS = "POST /chat/sessions"
CLOSE = "DELETE /chat/sessions/s1"
SEND = "POST /chat/sessions/s1/messages"
CREATED = {"session_id": "s1", "title": "Poles", "created_at": "2025-01-15T10:30:00"}
CLOSED = {"session_id": "s1", "closed_at": "2025-01-15T10:31:00Z", "total_messages": 2}
ANSWER = {
    "message_id": "m1",
    "content": "See [[img:a1b2|pole.jpg]] and [[ref:search_1]] more.",
    "token_count": 450,
    "processing_time_ms": 2500,
    "remaining_tokens": 94550,
    "remaining_messages": 97,
    "images": [{"image_id": "a1b2c3", "filename": "pole.jpg", "title": "A pole"}],
    "metadata": {"result_refs": {"search_1": {"count": 14, "ids": [], "id_type": "image"}}},
}
LOST = Reply(b"", promised=100)


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        running.on(SESSIONS, CREATED)
        running.on(CLOSE, CLOSED)
        running.on(SEND, ANSWER)
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def chats(client: SyncAionVision) -> SyncChatResource:
    return SyncChatResource(ChatResource(client.transport))


def test_a_session_is_opened_and_closed_by_its_block(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    with chats.session(title="Poles", image_ids=["a"], use_all_images=False) as session:
        assert session.session_id == "s1"
        assert not session.session.use_all_images
        assert session.session.selected_image_count == 1
        response = session.send("Find damaged poles", force_detailed_analysis=True)
    assert server.requests[0].json == {
        "title": "Poles",
        "initial_image_ids": ["a"],
        "use_all_images": False,
    }
    assert server.requests[1].json == {
        "message": "Find damaged poles",
        "force_detailed_analysis": True,
    }
    assert (response.session_id, response.message_id) == ("s1", "m1")
    assert response.resolved_content == "See pole.jpg and 14 more."
    assert response.references.images[0].full_id == "a1b2c3"
    assert response.references.counts == response.result_refs
    assert response.as_collection().ids == ["a1b2c3"]
    assert response.as_collection()[0].metadata == {"title": "A pole"}
    assert len(server.asked(CLOSE)) == 1


def test_a_session_is_awaited_too_and_stays_open_on_request(server: LoopbackApi) -> None:
    async def talk() -> str:
        async with awaited_client(server) as client:
            chats = ChatResource(client.transport)
            async with chats.session() as first:
                await first.send("one")
            async with chats.session(auto_close=False) as second:
                await second.send("two")
            return second.session_id

    assert asyncio.run(talk()) == "s1"
    assert len(server.asked(CLOSE)) == 1


def test_an_error_inside_the_block_stands_above_one_of_closing(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(CLOSE, Reply({"error": "no"}, 403))
    with pytest.raises(KeyError), chats.session():
        raise KeyError("mine")
    assert len(server.asked(CLOSE)) == 1
    with pytest.raises(errors.AionvisionPermissionError), chats.session():
        pass


def test_a_session_that_was_closed_meanwhile_is_no_error(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    server.on(CLOSE, [CLOSED, Reply({"error": "gone"}, 404)])
    with chats.session() as session:
        chats.close_session(session.session_id)
    assert len(server.asked(CLOSE)) == 2


def test_a_session_says_nothing_before_it_is_open(chats: SyncChatResource) -> None:
    session = chats.session()
    with pytest.raises(errors.ChatError, match="not open"):
        session.send("Hello")


def test_a_message_whose_answer_was_lost_is_not_sent_again(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    for first in (LOST, Reply({"error": "x", "error_code": "INTERNAL"}, 500)):
        server.on(SEND, [first, ANSWER])
        before = len(server.asked(SEND))
        with pytest.raises(errors.AionvisionError):
            chats.send("Hello", session_id="s1")
        assert len(server.asked(SEND)) == before + 1


def test_an_error_of_the_chat_keeps_its_code(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(
        SEND,
        Reply({"error": "Monthly limit", "error_code": "USAGE_LIMIT_EXCEEDED", "detail": "x"}, 429),
    )
    with pytest.raises(errors.QuotaExceededError) as caught:
        chats.send("Hello", session_id="s1")
    assert caught.value.code == "USAGE_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("context", "ids"),
    [
        ([{"image_id": "a", "description": "x", "confidence": 0.9}, {"id": "b"}], ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        ({"images": [{"image_id": "a"}]}, ["a"]),
        ({"image_id": "a"}, ["a"]),
        ({"count": 3}, []),
        (None, []),
    ],
)
def test_pictures_of_a_message_are_read_in_whatever_form_they_come(
    server: LoopbackApi, chats: SyncChatResource, context: Any, ids: list[str]
) -> None:
    message = {
        "id": "m1",
        "role": "assistant",
        "content": "…",
        "token_count": None,
        "created_at": "2025-01-15T10:31:00",
        "image_context": context,
        "metadata": {"vision_used": True},
    }
    server.on(
        "GET /chat/sessions/s1",
        {
            "session": {"id": "s1", "title": "Poles", "last_message_at": None},
            "messages": [message, {"id": "m2", "role": "tool", "content": None}],
            "selected_image_ids": ["c"],
            "context_summary": None,
        },
    )
    detail = chats.get_session("s1", message_limit=2)
    assert server.requests[-1].query == {"include_messages": ["true"], "message_limit": ["2"]}
    assert detail.session.title == "Poles"
    assert [image.image_id for image in detail.messages[0].image_context] == ids
    assert detail.messages[0].as_collection().ids == ids
    assert detail.messages[0].token_count == 0
    assert detail.messages[0].role is MessageRole.ASSISTANT
    assert detail.messages[1].role == "tool"
    assert detail.as_collection().ids == ["c"]
    assert len(chats.get_messages("s1")) == 2


@pytest.mark.parametrize(
    ("page", "more"),
    [
        ({"sessions": [{"id": "s1"}], "total_count": 3, "has_more": True}, True),
        ({"items": [{"id": "s1"}], "total": 2}, True),
        ({"items": [{"id": "s1"}], "total": 1}, False),
        ({"sessions": [{"id": "s1"}]}, True),
        ({"sessions": []}, False),
    ],
)
def test_sessions_are_listed_in_either_envelope(
    server: LoopbackApi, chats: SyncChatResource, page: dict[str, Any], more: bool
) -> None:
    server.on("GET /chat/sessions", page)
    found = chats.list_sessions(limit=1, active_only=True, search="poles")
    assert server.requests[-1].query == {
        "limit": ["1"],
        "offset": ["0"],
        "is_active": ["true"],
        "search": ["poles"],
    }
    assert found.has_more == more
    assert [session.id for session in found.items] == ["s1"][: len(found.items)]


def test_all_sessions_are_iterated(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(
        "GET /chat/sessions",
        [{"sessions": [{"id": "a"}, {"id": "b"}]}, {"sessions": [{"id": "c"}]}, {"sessions": []}],
    )
    assert [session.id for session in chats.iter_sessions(page_size=2)] == ["a", "b", "c"]


def test_what_a_session_is_about_can_be_changed(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    calls: list[tuple[str, Callable[[], dict[str, Any]], dict[str, Any]]] = [
        ("PUT /chat/sessions/s1/images", lambda: chats.update_images("s1", []), {"image_ids": []}),
        (
            "PUT /chat/sessions/s1/documents",
            lambda: chats.update_documents("s1", ["d"]),
            {"document_ids": ["d"]},
        ),
        (
            "PUT /chat/sessions/s1/videos",
            lambda: chats.update_videos("s1", ["v"]),
            {"video_ids": ["v"]},
        ),
        (
            "PATCH /chat/sessions/s1/mode",
            lambda: chats.update_mode("s1", False),
            {"use_all_images": False},
        ),
        (
            "PATCH /chat/sessions/s1/title",
            lambda: chats.rename_session("s1", "New"),
            {"title": "New"},
        ),
    ]
    for operation, call, sent in calls:
        server.on(operation, {"session_id": "s1", "selected": 0})
        assert call() == {"session_id": "s1", "selected": 0}
        assert server.requests[-1].json == sent
    server.on(CLOSE, Reply(status=204))
    assert chats.close_session("s1") == {}


def test_plans_are_approved_once_and_may_be_carried_out_later(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    operation = "POST /chat/sessions/s1/plans/p1/action"
    server.on(operation, {"success": True, "plan_id": "p1", "results": {"moved": 3}})
    done = chats.approve_plan("s1", "p1")
    assert done.results == {"moved": 3}
    assert server.requests[-1].json == {"action": "approve"}
    server.on(operation, Reply(b"", 202))
    later = chats.cancel_plan("s1", "p1")
    assert (later.plan_id, later.action_taken, later.results) == ("p1", "cancel", None)
    server.on(operation, [Reply({"error": "x"}, 503), {}])
    before = len(server.asked(operation))
    with pytest.raises(errors.ServerError):
        chats.approve_plan("s1", "p1")
    assert len(server.asked(operation)) == before + 1


def test_pictures_for_a_chat(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(
        "POST /chat/images/search",
        {
            "results": [
                {"image_id": "a", "description": "x", "confidence": 0.9, "relevance_score": 0.8}
            ],
            "total_count": 1,
            "query_interpretation": {},
        },
    )
    [found] = chats.search_images("red cars")
    assert (found.image_id, found.relevance_score) == ("a", 0.8)
    assert server.requests[-1].json == {"query": "red cars", "limit": 50, "offset": 0}
    server.on("GET /chat/images/all", {"image_ids": ["a", "b"], "total_count": 3})
    images = chats.get_all_images(limit=2)
    assert images.as_collection().ids == ["a", "b"]
    assert images.has_more


def test_an_export_is_a_file(server: LoopbackApi, chats: SyncChatResource) -> None:
    server.on(
        "GET /chat/sessions/s1/export",
        Reply(b"# Poles\n", headers={"Content-Type": "text/markdown"}),
    )
    assert chats.export_session("s1", include_metadata=True) == b"# Poles\n"
    assert server.requests[-1].query == {"format": ["markdown"], "include_metadata": ["true"]}


def test_what_the_api_would_refuse_is_not_sent(
    server: LoopbackApi, chats: SyncChatResource
) -> None:
    many = [str(number) for number in range(1001)]
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("title", lambda: chats.create_session(title="x" * 256)),
        ("image_ids", lambda: chats.create_session(image_ids=many)),
        ("message", lambda: chats.send("", session_id="s1")),
        ("message", lambda: chats.send("x" * 10_001, session_id="s1")),
        ("message", lambda: chats.send_stream("", session_id="s1")),
        ("limit", lambda: chats.list_sessions(limit=101)),
        ("search", lambda: chats.list_sessions(search="x" * 201)),
        ("message_limit", lambda: chats.get_messages("s1", limit=1001)),
        ("image_ids", lambda: chats.update_images("s1", many)),
        ("document_ids", lambda: chats.update_documents("s1", many[:101])),
        ("video_ids", lambda: chats.update_videos("s1", many[:101])),
        ("title", lambda: chats.rename_session("s1", "")),
        ("format", lambda: chats.export_session("s1", format="pdf")),
        ("query", lambda: chats.search_images("x" * 501)),
        ("limit", lambda: chats.get_all_images(limit=5001)),
    ]
    for field, call in refused:
        with pytest.raises(errors.ValidationError) as caught:
            call()
        assert caught.value.details["field"] == field
    assert server.requests == []
