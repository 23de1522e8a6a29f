"""Chats as they come, event by event, and plans that want approval."""

from __future__ import annotations

import re
from typing import Any

from ..exchange import Answer, Asked, Refusal, not_found
from ..registry import answers
from ..world import World
from .chats import Chats, Session, as_answer, pieces, reply_to


@answers("POST /chat/sessions/{session_id}/messages/stream", needs="message")
def stream(world: World, asked: Asked) -> Answer:
    """A message that begins with "plan" is answered with a plan to approve; a failing one breaks off with an error."""
    session = world.room(Chats).open(asked.ids["session_id"])
    text = asked.given("message")
    events: list[tuple[str, dict[str, Any]]] = [
        ("connection", {"session_id": session.id}),
        ("status", {"message": "Working on it"}),
        ("thinking", {"content": "What is asked for?"}),
    ]
    if asked.failing:
        told = {"error": "the model failed", "error_code": "CHAT_FAILED"} | asked.failing[0].options
        events.append(("error", told))
    elif text.lower().startswith("plan"):
        events.append(("plan_pending_approval", _plan(world, session, text)))
    else:
        events += _answered(world, asked, session)
    if not asked.stuck:
        events.append(("close", {}))
    return Answer(
        media_type="text/event-stream",
        headers={"cache-control": "no-cache"},
        events=pieces(events),
    )


def _answered(world: World, asked: Asked, session: Session) -> list[tuple[str, dict[str, Any]]]:
    message = reply_to(world, asked, session)
    events: list[tuple[str, dict[str, Any]]] = [
        ("thinking_step", {"content": "Searching images", "step": 1}),
        ("tool_invocation", {"tool": "image_search", "arguments": {"query": "…"}}),
        ("tool_result", {"tool": "image_search", "count": len(message.images)}),
        ("image_results", {"images": message.images}),
        ("ping", {}),
    ]
    events += [("token", {"content": word}) for word in re.findall(r"\S+\s*", message.content)]
    if asked.stuck:
        return events
    return [*events, ("complete", as_answer(session, message))]


def _plan(world: World, session: Session, text: str) -> dict[str, Any]:
    plan_id = world.new_id("plan")
    session.plans[plan_id] = text
    return {
        "plan_id": plan_id,
        "message": "This takes several steps; shall they be carried out?",
        "steps": [{"agent": "image_search", "intent": text}],
    }


@answers("POST /chat/sessions/{session_id}/plans/{plan_id}/action", needs="action")
def act(world: World, asked: Asked) -> Answer:
    session, plan_id = world.room(Chats).get(asked.ids["session_id"]), asked.ids["plan_id"]
    if plan_id not in session.plans:
        raise not_found("Plan")
    if asked.stuck:
        raise Refusal(409, "PLAN_IN_PROGRESS", "The plan is being processed")
    text, action = session.plans.pop(plan_id), asked.given("action")
    approved = action == "approve"
    if approved:
        world.books.bill(asked.entry, "agent_calls")
    return Answer(
        {
            "success": True,
            "plan_id": plan_id,
            "message": "Plan carried out" if approved else "Plan cancelled",
            "action_taken": "approved" if approved else "cancelled",
            "results": {"summary": text} if approved else None,
            "agent_results": [{"agent": "image_search", "status": "completed"}] if approved else [],
            "pending_actions": [],
        }
    )
