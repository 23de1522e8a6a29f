"""Upload sessions: how far a batch is, and what became of its files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..clock import stamp
from ..exchange import Answer, Asked, Refusal, not_found
from ..registry import answers
from ..world import World
from .library import RemoteFile, thumbnail

_ENDS = ("completed", "failed", "expired", "cancelled")


@dataclass(slots=True)
class Item:
    """One file of a session; the session tells its name only."""

    filename: str
    file: RemoteFile
    skipped: bool

    def state(self, now: float) -> str:
        """processing, completed, failed, skipped or cancelled."""
        if self.skipped:
            return "skipped"
        state = self.file.status(now)
        return "completed" if state == "skipped" else state


@dataclass(slots=True)
class UploadSession:
    """A batch that was sent in one request."""

    id: str
    created: float
    total: int
    expires: float
    items: list[Item] = field(default_factory=list)
    cancelled: bool = False
    completed: float | None = None
    upload_method: str = "streaming"


class Sessions:
    """All sessions."""

    def __init__(self) -> None:
        self.all: dict[str, UploadSession] = {}

    def open(self, world: World, asked: Asked, total: int) -> UploadSession:
        now = world.now()
        hours = 0.0 if asked.expiring else world.settings.session_hours
        session = UploadSession(world.new_id("session"), now, total, now + 3600 * hours)
        self.all[session.id] = session
        return session

    def get(self, session_id: str) -> UploadSession:
        """Raises Refusal where there is none."""
        if session_id not in self.all:
            raise not_found("Upload session")
        return self.all[session_id]


def state_of(world: World, session: UploadSession) -> str:
    """How far a session is, in the words of the specification."""
    now = world.now()
    if now >= session.expires:
        return "expired"
    if session.cancelled:
        return "cancelled"
    states = Counter(item.state(now) for item in session.items)
    if states["processing"]:
        return "processing"
    session.completed = session.completed or now
    return "failed" if states["failed"] == len(session.items) else "completed"


@answers("GET /uploads/sessions/{session_id}/status")
def session_status(world: World, asked: Asked) -> Answer:
    session = world.room(Sessions).get(asked.ids["session_id"])
    answer = Answer(_status(world, session))
    for item in session.items:
        item.file.look()
    return answer


@answers("POST /uploads/sessions/{session_id}/cancel")
def cancel(world: World, asked: Asked) -> Answer:
    session = world.room(Sessions).get(asked.ids["session_id"])
    if state_of(world, session) in _ENDS:
        raise Refusal(400, "SESSION_OVER", "The session has ended already")
    session.cancelled = True
    for item in session.items:
        work = item.file.description
        if work is not None and not work.is_over(world.now()):
            work.cancelled = True
    return Answer(_status(world, session))


@answers("GET /uploads/sessions")
def list_sessions(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page()
    wanted, method = asked.text("status"), asked.text("upload_method")
    found = [
        session
        for session in reversed(world.room(Sessions).all.values())
        if wanted in (None, state_of(world, session)) and method in (None, session.upload_method)
    ]
    return Answer(
        {
            "sessions": [_listed(world, s) for s in found[offset : offset + limit]],
            "total_count": len(found),
            "offset": offset,
            "limit": limit,
            "has_more": offset + limit < len(found),
        }
    )


@answers("GET /uploads/sessions/{session_id}/results")
def results(world: World, asked: Asked) -> Answer:
    session = world.room(Sessions).get(asked.ids["session_id"])
    if state_of(world, session) == "expired":
        raise Refusal(404, "SESSION_EXPIRED", "The upload session has expired")
    offset, limit = asked.page(100, 500)
    now = world.now()
    ended = [i for i in session.items if i.state(now) in ("completed", "failed", "skipped")]
    if asked.flag("include_failed", True) is False:
        ended = [i for i in ended if i.state(now) != "failed"]
    return Answer(
        {
            "session_id": session.id,
            "results": [_result(world, i) for i in ended[offset : offset + limit]],
            "total_count": len(ended),
            "offset": offset,
            "limit": limit,
            "has_more": offset + limit < len(ended),
            "summary": _counts(session, now),
        }
    )


def _counts(session: UploadSession, now: float) -> dict[str, int]:
    states = Counter(item.state(now) for item in session.items)
    return {
        "completed_files": states["completed"],
        "failed_files": states["failed"],
        "skipped_files": states["skipped"],
        "pending_files": states["processing"],
    }


def _progress(session: UploadSession, now: float) -> float:
    done = sum(item.state(now) != "processing" for item in session.items)
    return round(100 * done / max(len(session.items), 1), 1)


def _listed(world: World, session: UploadSession) -> dict[str, Any]:
    now = world.now()
    counts = _counts(session, now)
    del counts["pending_files"]
    state = state_of(world, session)
    return {
        "session_id": session.id,
        "status": state,
        "upload_method": session.upload_method,
        "total_files": session.total,
        **counts,
        "progress_percentage": _progress(session, now),
        "created_at": stamp(session.created),
        "completed_at": stamp(session.completed) if session.completed else None,
    }


def _status(world: World, session: UploadSession) -> dict[str, Any]:
    now = world.now()
    state = state_of(world, session)
    done = [i for i in session.items if i.state(now) in ("completed", "skipped", "failed")]
    return {
        "session_id": session.id,
        "status": state,
        "total_files": session.total,
        **_counts(session, now),
        "progress_percentage": _progress(session, now),
        "created_at": stamp(session.created),
        "started_at": stamp(session.created),
        "completed_at": stamp(session.completed) if session.completed else None,
        "estimated_completion_time": None,
        "recent_completions": [_completion(i, now) for i in done if i.state(now) != "failed"][-10:],
        "recent_errors": [
            _error(index, item)
            for index, item in enumerate(session.items)
            if item.state(now) == "failed"
        ][-10:],
        "results_url": f"/api/v2/uploads/sessions/{session.id}/results",
        "websocket_channel": f"batch.{session.id}",
    }


def _completion(item: Item, now: float) -> dict[str, Any]:
    picture = item.file.seen(now)
    return {
        "filename": item.filename,
        "image_id": item.file.id,
        "status": item.state(now),
        "description": picture.description if picture else None,
        "processing_time_ms": 850.0,
        "error_message": None,
    }


def _error(index: int, item: Item) -> dict[str, Any]:
    work = item.file.description
    failure = work.failure if work is not None else None
    return {
        "filename": item.filename,
        "index": index,
        "error": failure.message if failure else "failed",
        "retryable": failure.retryable if failure else False,
    }


def _result(world: World, item: Item) -> dict[str, Any]:
    now = world.now()
    picture = item.file.seen(now)
    state = item.state(now)
    work = item.file.description
    failure = work.failure if work is not None and state == "failed" else None
    return {
        "image_id": item.file.id,
        "filename": item.filename,
        "object_key": item.file.object_key,
        "status": state,
        "description": picture.description if picture else None,
        "visible_text": picture.visible_text if picture else None,
        "tags": item.file.tags or (list(picture.tags) if picture else []),
        "processing_time_ms": 850.0,
        "error_message": failure.message if failure else None,
        "thumbnail_url": thumbnail(world, item.file),
        "created_at": stamp(item.file.created),
        **cost(world, item),
    }


def cost(world: World, item: Item) -> dict[str, float]:
    """What a file cost, where the server is set to tell it."""
    told = world.settings.credits_told
    if told is None:
        return {}
    return {"credits_used": 0.0 if item.skipped or item.file.description is None else told}
