"""What was used: credits, tokens, requests, by time and by file."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from ..books import Entry
from ..clock import stamp
from ..exchange import Answer, Asked
from ..plans import NO_LIMIT
from ..registry import answers
from ..world import World
from .chats import Chats
from .library import Library

_CREDITS: Final = {"descriptions": 1, "agent_calls": 2, "chat_messages": 1, "documents": 1}


def credits_used(world: World) -> int:
    """What everything that was billed comes to."""
    return sum(world.books.billed[name] * price for name, price in _CREDITS.items())


def _month(world: World) -> datetime:
    return datetime.fromtimestamp(world.now(), UTC)


def _reset_date(world: World) -> str:
    now = _month(world)
    following = now.replace(day=28).timestamp() + 4 * 86400
    first = datetime.fromtimestamp(following, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return stamp(first.timestamp())


def _limit(world: World) -> int:
    return world.plan.monthly or NO_LIMIT


@answers("POST /usage/check")
def check(world: World, asked: Asked) -> Answer:
    wanted, used, limit = asked.given("item_count", 1), credits_used(world), _limit(world)
    return Answer(
        {
            "can_proceed": used + wanted <= limit,
            "current_usage": used,
            "monthly_limit": limit,
            "required_credits": wanted,
            "available_credits": max(limit - used, 0),
            "reset_date": _reset_date(world),
            "message": None if used + wanted <= limit else "Not enough credits",
            "prepaid_credits": 0,
        }
    )


@answers("GET /usage/breakdown")
def breakdown(world: World, _asked: Asked) -> Answer:
    used, limit = credits_used(world), _limit(world)
    return Answer(
        {
            "current_month": _month(world).strftime("%Y-%m"),
            "total_credits_used": used,
            "monthly_limit": limit,
            "remaining_credits": max(limit - used, 0),
            "usage_percentage": round(100 * used / limit, 4),
            "reset_date": _reset_date(world),
            "by_operation_type": {k: v for k, v in world.books.billed.items() if k in _CREDITS},
        }
    )


@answers("GET /usage/summary")
def summary(world: World, asked: Asked) -> Answer:
    entries = _entries(world, asked)
    good = sum((e.status or 500) < 400 for e in entries)
    used, limit = credits_used(world), _limit(world)
    first, last = asked.moment("start_date"), asked.moment("end_date")
    begin = world.now() - 30 * 86400 if first is None else first
    return Answer(
        {
            "period": {
                "start": stamp(begin),
                "end": stamp(world.now() if last is None else last),
            },
            "usage": {
                "verify_count": 0,
                "describe_count": sum(e.billed["descriptions"] for e in entries),
                "batch_count": sum(e.operation == "POST /batch/describe" for e in entries),
                "total_requests": len(entries),
                "successful_requests": good,
                "failed_requests": len(entries) - good,
            },
            "performance": {"avg_response_time_ms": 12.5},
            "limits": {
                "monthly_limit": limit,
                "used_this_month": used,
                "remaining": max(limit - used, 0),
                "percentage_used": round(100 * used / limit, 4),
            },
            "total_credits": sum(map(_price, entries)),
        }
    )


def _price(entry: Entry) -> int:
    return sum(entry.billed[name] * price for name, price in _CREDITS.items())


def _entries(world: World, asked: Asked) -> list[Entry]:
    """Requests that have been answered within the time that is asked for."""
    first, last = asked.moment("start_date"), asked.moment("end_date")
    return [
        e
        for e in world.books.log
        if e.answered is not None
        and (first is None or e.arrived >= first)
        and (last is None or e.arrived <= last)
    ]


@answers("GET /usage/details")
def details(world: World, asked: Asked) -> Answer:
    page, size = asked.number("page", 1), asked.number("page_size", 50)
    wanted = asked.text("operation_type")
    entries = [e for e in _entries(world, asked) if wanted in (None, _kind(e))]
    entries.reverse()
    return Answer(
        {
            "events": [
                {
                    "id": f"event-{e.number}",
                    "timestamp": stamp(e.arrived),
                    "operation_type": _kind(e),
                    "endpoint": e.operation.partition(" ")[2],
                    "method": e.method,
                    "status_code": e.status,
                    "response_time_ms": round(1000 * ((e.answered or e.arrived) - e.arrived), 2),
                    "error_code": None,
                    "api_key_id": None,
                }
                for e in entries[(page - 1) * size : page * size]
            ],
            "pagination": {
                "page": page,
                "page_size": size,
                "total_count": len(entries),
                "total_pages": -(-len(entries) // size),
            },
        }
    )


def _kind(entry: Entry) -> str:
    return "describe" if entry.billed["descriptions"] else "request"


@answers("GET /usage/by-period")
def by_period(world: World, asked: Asked) -> Answer:
    kind = asked.text("period_type", "day")
    form = {"hour": "%Y-%m-%dT%H:00:00Z", "month": "%Y-%m-01T00:00:00Z"}.get(
        kind or "", "%Y-%m-%dT00:00:00Z"
    )
    counts = Counter(
        datetime.fromtimestamp(e.arrived, UTC).strftime(form) for e in _entries(world, asked)
    )
    return Answer(
        {
            "period_type": kind,
            "start_date": asked.text("start_date"),
            "end_date": asked.text("end_date"),
            "data": [
                {"timestamp": when, "value": n, "label": when[:10]} for when, n in counts.items()
            ],
        }
    )


@answers("GET /usage/plan")
def plan(world: World, asked: Asked) -> Answer:
    body: dict[str, Any] = {
        "billing_period": {"type": asked.text("period", "month"), "end": _reset_date(world)},
        "plan_details": {
            "name": world.plan.name,
            "monthly_limit": _limit(world),
            "used": credits_used(world),
        },
        "optimization_recommendations": {"recommendations": []},
    }
    if asked.flag("include_projections", True):
        body["projections"] = {"projected_usage": credits_used(world)}
    return Answer(body)


@answers("GET /usage/top-endpoints")
def top_endpoints(world: World, asked: Asked) -> Answer:
    top = world.books.requests.most_common(asked.number("limit", 10))
    parts = [(operation.partition(" "), count) for operation, count in top]
    return Answer({"endpoints": [{"endpoint": p[2], "method": p[0], "count": n} for p, n in parts]})


@answers("GET /usage/tokens/monthly")
def tokens_of_month(world: World, asked: Asked) -> Answer:
    now, total = _month(world), world.books.billed["tokens"]
    return Answer(
        {
            "year": asked.number("year", now.year),
            "month": asked.number("month", now.month),
            "total_input_tokens": total - total // 5,
            "total_output_tokens": total // 5,
            "total_tokens": total,
        }
    )


@answers("GET /usage/tokens/files")
def tokens_of_files(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(20, 1000)
    files = [f for f in world.room(Library).live() if f.seen(world.now()) is not None]
    return Answer(
        {
            "files": [
                {
                    "image_id": f.id,
                    "filename": f.filename,
                    "input_tokens": 700,
                    "output_tokens": 90,
                    "total_tokens": 790,
                    "created_at": stamp(f.created),
                }
                for f in files[offset : offset + limit]
            ],
            "total_count": len(files),
            "total_input_tokens": 700 * len(files),
            "total_output_tokens": 90 * len(files),
        }
    )


@answers("GET /usage/tokens/conversations")
def tokens_of_chats(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(20, 1000)
    sessions = list(world.room(Chats).all.values())
    total = sum(s.tokens for s in sessions)
    return Answer(
        {
            "conversations": [
                {
                    "session_id": s.id,
                    "title": s.title,
                    "input_tokens": s.tokens - s.tokens // 2,
                    "output_tokens": s.tokens // 2,
                    "total_tokens": s.tokens,
                    "message_count": len(s.messages),
                    "created_at": stamp(s.created),
                }
                for s in sessions[offset : offset + limit]
            ],
            "total_count": len(sessions),
            "total_input_tokens": total - total // 2,
            "total_output_tokens": total // 2,
        }
    )


@answers("GET /usage/dashboard-analytics")
def dashboard(world: World, asked: Asked) -> Answer:
    books, files = world.books, sum(1 for _ in world.room(Library).live())
    tokens = books.billed["tokens"]
    return Answer(
        {
            "period": asked.text("period", "30d"),
            "start_date": stamp(world.now() - 30 * 86400)[:10],
            "end_date": stamp(world.now())[:10],
            "daily_activity": [
                {
                    "date": stamp(world.now())[:10],
                    "files_uploaded": files,
                    "chat_messages": books.billed["chat_messages"],
                }
            ],
            "total_chat_messages": books.billed["chat_messages"],
            "total_files_uploaded": files,
            "total_chat_sessions": len(world.room(Chats).all),
            "avg_processing_time_ms": 12.5,
            "success_rate": 100.0,
            "processing_tokens": 790 * books.billed["descriptions"],
            "chat_tokens": tokens,
            "total_tokens": tokens + 790 * books.billed["descriptions"],
        }
    )
