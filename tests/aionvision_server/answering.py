"""From what a handler answers to the bytes of a reply, spoilt where a fault wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .exchange import Answer
from .faults import WITHIN, Fault

_HTML = b"""<!DOCTYPE html>
<html><head><title>%d</title></head><body><center><h1>%d Something went wrong</h1></center><hr>nginx</body></html>
"""


@dataclass(slots=True)
class Reply:
    """What goes over the wire, and how."""

    status: int
    headers: dict[str, str]
    content: bytes
    subjects: list[str]
    events: AsyncIterator[bytes] | None = None
    announced: int | None = None
    """Bytes that the header promises, where there are fewer."""
    fault: Fault | None = None


def as_reply(
    answer: Answer, headers: Mapping[str, str], faults: Sequence[Fault], subjects: list[str]
) -> Reply:
    """The reply of an answer under its faults."""
    content = answer.raw
    if content is None:
        content = b"" if answer.status == 204 else orjson.dumps(answer.body)
    all_headers = {"content-type": answer.media_type, **headers, **answer.headers}
    reply = Reply(answer.status, all_headers, content, subjects, answer.events)
    fault = next((f for f in faults if f.kind not in WITHIN), None)
    if fault is not None:
        reply.fault = fault
        _spoil(reply, answer, fault)
    return reply


def _spoil(reply: Reply, answer: Answer, fault: Fault) -> None:
    options = fault.options
    match fault.kind:
        case "html":
            reply.status = int(options.get("status", 502))
            reply.content = _HTML % (reply.status, reply.status)
            reply.headers["content-type"] = "text/html; charset=utf-8"
        case "lost" | "status" | "rate_limit":
            # Accepted, worked on, billed; and a gateway on the way back fails.
            reply.status = int(options.get("status", 502))
            message = {"code": options.get("code", "BAD_GATEWAY"), "message": "lost", "details": {}}
            reply.content = orjson.dumps({"error": message})
        case "truncate":
            reply.content = reply.content[: max(len(reply.content) // 2, 1)]
        case "cut":
            reply.announced = len(reply.content)
            reply.content = reply.content[: len(reply.content) // 2]
        case "wrong_types":
            reply.content = orjson.dumps(_wrong(answer.body))


def _wrong(value: Any) -> Any:
    """The same structure with other types: texts become lists, numbers texts, lists numbers."""
    if isinstance(value, dict):
        return {k: _wrong(v) for k, v in value.items()}
    if isinstance(value, bool) or value is None:
        return {"unexpected": value}
    if isinstance(value, list):
        return 7
    if isinstance(value, str):
        return [value, {"more": value}]
    return f"{value} or so"
