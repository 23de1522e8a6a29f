"""Chats: sessions, messages, plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, not_found
from ..registry import answers
from ..world import World
from .agents import as_hit, found_images
from .library import Library, RemoteFile, thumbnail

_MOST_TOKENS: Final = 100_000
_MOST_MESSAGES: Final = 100


@dataclass(slots=True)
class Message:
    """One message of a session."""

    id: str
    role: str
    content: str
    created: float
    tokens: int
    images: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """A conversation."""

    id: str
    title: str
    created: float
    updated: float
    use_all_images: bool = True
    image_ids: list[str] = field(default_factory=list)
    document_ids: list[str] = field(default_factory=list)
    video_ids: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
    """Plans that wait, by id: what was asked for."""
    closed: float | None = None
    results: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(m.tokens for m in self.messages)


class Chats:
    """All sessions."""

    def __init__(self) -> None:
        self.all: dict[str, Session] = {}

    def get(self, session_id: str) -> Session:
        """Raises Refusal where there is none."""
        if session_id not in self.all:
            raise not_found("Session")
        return self.all[session_id]

    def open(self, session_id: str) -> Session:
        """Raises Refusal where there is none, or it has been closed."""
        session = self.get(session_id)
        if session.closed is not None:
            raise Refusal(400, "SESSION_CLOSED", "The session has been closed")
        return session


def _session(world: World, asked: Asked) -> Session:
    return world.room(Chats).get(asked.ids["session_id"])


@answers("POST /chat/sessions")
def create(world: World, asked: Asked) -> Answer:
    now, images = world.now(), list(asked.given("initial_image_ids", []))
    session = Session(
        world.new_id("chat"),
        asked.given("title", "New chat"),
        now,
        now,
        asked.given("use_all_images", True),
        images,
    )
    world.room(Chats).all[session.id] = session
    return Answer({"session_id": session.id, "title": session.title, "created_at": stamp(now)})


@answers("GET /chat/sessions")
def list_sessions(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page()
    active, search = asked.flag("is_active"), (asked.text("search") or "").lower()
    least = asked.number("min_messages", 0)
    found = [
        s
        for s in reversed(world.room(Chats).all.values())
        if active in (None, s.closed is None)
        and search in s.title.lower()
        and len(s.messages) >= least
    ]
    return Answer(
        {
            "sessions": [as_session(s) for s in found[offset : offset + limit]],
            "total_count": len(found),
            "has_more": offset + limit < len(found),
        }
    )


def as_session(session: Session) -> dict[str, Any]:
    last = session.messages[-1] if session.messages else None
    asked = next((m.content for m in reversed(session.messages) if m.role == "user"), None)
    return {
        "id": session.id,
        "title": session.title,
        "total_messages": len(session.messages),
        "total_tokens": session.tokens,
        "remaining_tokens": _MOST_TOKENS - session.tokens,
        "remaining_messages": _MOST_MESSAGES - len(session.messages),
        "is_active": session.closed is None,
        "use_all_images": session.use_all_images,
        "created_at": stamp(session.created),
        "updated_at": stamp(session.updated),
        "last_message_at": stamp(last.created) if last else None,
        "last_message_preview": last.content[:80] if last else None,
        "last_user_message": asked,
        "selected_image_count": len(session.image_ids),
    }


@answers("GET /chat/sessions/{session_id}")
def get(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    wanted = asked.flag("include_messages", True)
    shown = session.messages[-asked.number("message_limit", 100) :] if wanted else []
    return Answer(
        {
            "session": as_session(session),
            "messages": [_as_message(m) for m in shown],
            "selected_image_ids": session.image_ids,
            "selected_video_ids": session.video_ids,
            "current_search_result_ids": session.results,
            "context_summary": f"{len(session.image_ids)} images selected",
        }
    )


def _as_message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "token_count": message.tokens,
        "processing_time_ms": 480 if message.role == "assistant" else None,
        "created_at": stamp(message.created),
        "image_context": message.images or None,
        "metadata": message.metadata or None,
    }


@answers("DELETE /chat/sessions/{session_id}")
def close(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.closed = session.closed or world.now()
    return Answer(
        {
            "session_id": session.id,
            "closed_at": stamp(session.closed),
            "total_messages": len(session.messages),
            "total_tokens": session.tokens,
        }
    )


@answers("PATCH /chat/sessions/{session_id}/title", needs="title")
def rename(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.title, session.updated = asked.given("title"), world.now()
    return Answer(
        {"session_id": session.id, "title": session.title, "updated_at": stamp(session.updated)}
    )


@answers("PUT /chat/sessions/{session_id}/images", needs="image_ids")
def update_images(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.image_ids = list(asked.given("image_ids", []))
    return Answer(
        {
            "session_id": session.id,
            "selected_image_ids": session.image_ids,
            "selected_video_ids": session.video_ids,
            "context_summary": f"{len(session.image_ids)} images selected",
            "estimated_tokens": 120 * len(session.image_ids),
        }
    )


@answers("PUT /chat/sessions/{session_id}/documents")
def update_documents(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.document_ids = list(asked.given("document_ids", []))
    return Answer(
        {
            "session_id": session.id,
            "selected_document_ids": session.document_ids,
            "document_count": len(session.document_ids),
        }
    )


@answers("PUT /chat/sessions/{session_id}/videos")
def update_videos(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.video_ids = list(asked.given("video_ids", []))
    return Answer(
        {
            "session_id": session.id,
            "selected_video_ids": session.video_ids,
            "video_count": len(session.video_ids),
        }
    )


@answers("PATCH /chat/sessions/{session_id}/mode", needs="use_all_images")
def update_mode(world: World, asked: Asked) -> Answer:
    session = _session(world, asked)
    session.use_all_images, session.updated = bool(asked.body["use_all_images"]), world.now()
    return Answer(
        {
            "session_id": session.id,
            "use_all_images": session.use_all_images,
            "selected_image_count": len(session.image_ids),
            "updated_at": stamp(session.updated),
        }
    )


@answers("GET /chat/sessions/{session_id}/export")
def export(world: World, asked: Asked) -> Answer:
    session, kind = _session(world, asked), asked.text("format", "markdown")
    if kind == "json":
        messages = [_as_message(m) for m in session.messages]
        raw = orjson.dumps({"session": as_session(session), "messages": messages})
        return Answer(raw=raw)
    mark = "**{}**: {}\n\n" if kind == "markdown" else "{}: {}\n"
    head = f"# {session.title}\n\n" if kind == "markdown" else f"{session.title}\n"
    text = head + "".join(mark.format(m.role, m.content) for m in session.messages)
    media = "text/markdown" if kind == "markdown" else "text/plain"
    return Answer(raw=text.encode(), media_type=f"{media}; charset=utf-8")


@answers("POST /chat/images/search", needs="query")
def search_images(world: World, asked: Asked) -> Answer:
    query = asked.given("query")
    hits = found_images(world, query, 10_000)
    offset, limit = asked.given("offset", 0), asked.given("limit", 50)
    world.books.bill(asked.entry, "searches")
    return Answer(
        {
            "results": [
                {
                    "image_id": file.id,
                    "description": as_hit(world, score, file)["description"],
                    "confidence": 0.9,
                    "relevance_score": score,
                    "thumbnail_url": thumbnail(world, file),
                    "medium_url": thumbnail(world, file, "medium_750"),
                    "full_url": thumbnail(world, file, "large_1024"),
                    "created_at": stamp(file.created),
                }
                for score, file in hits[offset : offset + limit]
            ],
            "total_count": len(hits),
            "query_interpretation": {"words": query.split()},
        }
    )


@answers("GET /chat/images/all")
def all_images(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(1000, 5000)
    ids = [f.id for f in world.room(Library).live() if f.media_type == "image"]
    return Answer(
        {
            "image_ids": ids[offset : offset + limit],
            "total_count": len(ids),
            "has_more": offset + limit < len(ids),
        }
    )


@answers("POST /chat/sessions/{session_id}/messages", needs="message")
def send(world: World, asked: Asked) -> Answer:
    session = world.room(Chats).open(asked.ids["session_id"])
    return Answer(as_answer(session, reply_to(world, asked, session)))


def as_answer(session: Session, message: Message) -> dict[str, Any]:
    """An answer of the assistant, as it comes without streaming."""
    return {
        "message_id": message.id,
        "session_id": session.id,
        "content": message.content,
        "token_count": message.tokens,
        "provider": "simulated",
        "model": "simulated-1",
        "processing_time_ms": 480,
        "images": message.images,
        "metadata": message.metadata,
        "remaining_tokens": _MOST_TOKENS - session.tokens,
        "remaining_messages": _MOST_MESSAGES - len(session.messages),
    }


def reply_to(world: World, asked: Asked, session: Session) -> Message:
    """Answer a message from what the library holds; costs tokens."""
    text = asked.given("message")
    now = world.now()
    session.messages.append(Message(world.new_id("message"), "user", text, now, len(text) // 4 + 1))
    wanted = None if session.use_all_images else session.image_ids
    files = [file for _, file in found_images(world, text, 5, wanted)]
    named = ", ".join(f"[[img:{f.id[:8]}|{f.filename}]]" for f in files)
    content = f"I found [[ref:images]] images: {named or 'none'}."
    refs = {
        "images": {
            "count": len(files),
            "ids": [f.id for f in files],
            "image_ids": [f.id for f in files],
            "id_type": "image",
            "label": "images",
        }
    }
    session.results = [f.id for f in files]
    message = Message(
        world.new_id("message"),
        "assistant",
        content,
        now,
        len(content) // 4 + 1,
        [image_reference(world, f) for f in files],
        {"result_refs": refs},
    )
    session.messages.append(message)
    session.updated = now
    world.books.bill(asked.entry, "chat_messages")
    world.books.bill(asked.entry, "tokens", message.tokens + len(text) // 4 + 1)
    return message


def image_reference(world: World, file: RemoteFile) -> dict[str, Any]:
    hit = as_hit(world, 0.9, file)
    return {
        "image_id": file.id,
        "thumbnail_url": thumbnail(world, file),
        "description": hit["description"],
        "confidence": 0.9,
        "title": hit["title"],
        "stored_url": thumbnail(world, file, "large_1024"),
        "filename": file.filename,
    }


async def pieces(events: list[tuple[str, dict[str, Any]]]) -> AsyncIterator[bytes]:
    """Server-sent events."""
    for name, data in events:
        yield f"event: {name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()
