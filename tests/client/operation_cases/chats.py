"""Chats."""

from __future__ import annotations

from typing import Final

from .case import Case, Given, after, given
from .made import Made

_SEND: Final = "POST /chat/sessions/{session_id}/messages"
_STREAM: Final = "POST /chat/sessions/{session_id}/messages/stream"
_PLAN: Final = "POST /chat/sessions/{session_id}/plans/{plan_id}/action"
_SESSION: Final = "GET /chat/sessions/{session_id}"


def _said(made: Made) -> Given:
    image = made.image()
    return given(
        "Which poles are damaged?",
        session_id=made.chat(),
        force_detailed_analysis=True,
        expected_image_ids=[image],
    )


def _listed(made: Made) -> Given:
    chat = made.chat()
    made.client.chats.send("poles", session_id=chat)
    return given(active_only=True, search="Poles", min_messages=1, limit=3, offset=0)


def _talked(made: Made) -> str:
    chat = made.chat(image_ids=[made.image()], use_all_images=False)
    made.client.chats.send("Which poles are damaged?", session_id=chat)
    return chat


CASES: Final = (
    Case(
        "POST /chat/sessions",
        "chats.create_session",
        lambda m: given(title="T", image_ids=[m.image()], use_all_images=False),
    ),
    Case("POST /chat/sessions", "chats.session", lambda m: given(title="T", auto_close=False)),
    Case("POST /chat/sessions", "chat_session", lambda m: given(title="T", auto_close=False)),
    Case("GET /chat/sessions", "chats.list_sessions", _listed),
    Case(
        "GET /chat/sessions",
        "chats.iter_sessions",
        lambda m: after([m.chat(), m.chat()], page_size=1),
    ),
    Case(
        _SESSION,
        "chats.get_session",
        lambda m: given(_talked(m), include_messages=True, message_limit=5),
    ),
    Case(_SESSION, "chats.get_messages", lambda m: given(_talked(m), limit=5)),
    Case("DELETE /chat/sessions/{session_id}", "chats.close_session", lambda m: given(m.chat())),
    Case(_SEND, "chats.send", _said),
    Case(
        _STREAM,
        "chats.send_stream",
        lambda m: given(**_said(m).kwargs, message="poles", debug_reasoning=True),
    ),
    Case(
        "PUT /chat/sessions/{session_id}/images",
        "chats.update_images",
        lambda m: given(m.chat(), m.images(2)),
    ),
    Case(
        "PUT /chat/sessions/{session_id}/documents",
        "chats.update_documents",
        lambda m: given(m.chat(), [m.document()]),
    ),
    Case(
        "PUT /chat/sessions/{session_id}/videos",
        "chats.update_videos",
        lambda m: given(m.chat(), [m.video().media_id]),
    ),
    Case(
        "PATCH /chat/sessions/{session_id}/mode",
        "chats.update_mode",
        lambda m: given(m.chat(), False),
    ),
    Case(_PLAN, "chats.approve_plan", lambda m: given(*m.plan())),
    Case(_PLAN, "chats.cancel_plan", lambda m: given(*m.plan())),
    Case(
        "POST /chat/images/search",
        "chats.search_images",
        lambda m: after(m.image(), "png", limit=5, offset=0),
    ),
    Case(
        "PATCH /chat/sessions/{session_id}/title",
        "chats.rename_session",
        lambda m: given(m.chat(), "Other"),
    ),
    Case(
        "GET /chat/sessions/{session_id}/export",
        "chats.export_session",
        lambda m: given(_talked(m), format="json", include_metadata=True),
    ),
    Case(
        "GET /chat/images/all",
        "chats.get_all_images",
        lambda m: after(m.images(2), limit=5, offset=0),
    ),
)
