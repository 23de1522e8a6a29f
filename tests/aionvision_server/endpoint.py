"""`/v1/chat/completions`: an OpenAI-compatible endpoint that describes pictures, with the same faults and counts."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any, Final

import orjson

from .answering import Reply, as_reply
from .connections import Connection
from .describing import seen
from .exchange import Answer, Asked, Gone, Refusal
from .gate import asked_for, key_of, take_turn, too_fast
from .replying import send_reply
from .world import World

COMPLETIONS: Final = "POST /v1/chat/completions"
_MODELS: Final = "GET /v1/models"


class Endpoint:
    """Takes any model's name; the answer depends on picture, model and prompt."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        world = self._world
        connection: Connection = scope["state"]["connection"]
        path = scope["raw_path"].decode("ascii")
        entry = world.books.arrive(connection.number, scope["method"], path)
        connection.last = entry
        entry.operation = f"{scope['method']} {path}"
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        asked = Asked(entry.operation, entry, {}, (), headers)
        try:
            body = await _body(receive)
        except Gone:
            return
        entry.accepted = time.time()
        reply = self._reply(asked, body)
        world.books.requests[entry.operation] += 1
        world.books.statuses[f"{reply.status} {entry.operation}"] += 1
        await send_reply(world, connection, entry, reply, send)

    def _reply(self, asked: Asked, body: bytes) -> Reply:
        world, headers = self._world, {"x-request-id": f"req-{asked.entry.number:08d}"}
        faults: list[Any] = []
        try:
            key = key_of(world, {"authorization": asked.headers.get("authorization", "")})
            request = _read(asked, body)
            turn, told = take_turn(world, key)
            headers |= told
            if turn is not None and not turn.allowed:
                raise too_fast(world, turn)
            faults = world.faults.hitting(asked.operation, asked.entry.hashes)
            for fault in faults:
                world.books.faults[fault.kind] += 1
                asked.entry.fault = fault.kind
                if fault.before and fault.kind in ("status", "rate_limit"):
                    faults = []
                    raise asked_for(world, fault)
            if any(f.before for f in faults):
                answer = Answer(status=503)
            else:
                answer = self._answer(asked, request)
        except Refusal as refusal:
            if refusal.status == 429:
                world.books.refused[refusal.code] += 1
            told = {"message": refusal.message, "type": "error", "code": refusal.code}
            answer = Answer({"error": told}, refusal.status, refusal.headers)
        return as_reply(answer, headers, faults, asked.entry.hashes)

    def _answer(self, asked: Asked, request: dict[str, Any]) -> Answer:
        world = self._world
        if asked.operation == _MODELS:
            return Answer({"object": "list", "data": [{"id": "tiny-vl", "object": "model"}]})
        if asked.operation != COMPLETIONS:
            raise Refusal(404, "NOT_FOUND", "no such endpoint")
        prompt = orjson.dumps([request.get("model"), _texts(request)])
        subject = asked.entry.hashes[0] if asked.entry.hashes else "no picture"
        picture = seen(subject, hashlib.sha256(prompt).hexdigest())
        said = {
            "title": picture.title,
            "description": picture.description,
            "tags": list(picture.tags),
            "visible_text": picture.visible_text or "",
            "objects": [],
        }
        world.books.bill(asked.entry, "completions")
        world.books.described[subject] += 1
        message = {"role": "assistant", "content": orjson.dumps(said).decode()}
        return Answer(
            {
                "id": f"chatcmpl-{world.new_id('completion')}",
                "object": "chat.completion",
                "created": int(world.now()),
                "model": request.get("model"),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 800, "completion_tokens": 90, "total_tokens": 890},
            }
        )


def _read(asked: Asked, body: bytes) -> dict[str, Any]:
    """The request, with the hashes of the pictures in it.

    Raises:
        Refusal: it is none.
    """
    if asked.operation != COMPLETIONS:
        return {}
    try:
        request = orjson.loads(body)
        contents = [m["content"] for m in request["messages"]]
        parts = [p for c in contents if isinstance(c, list) for p in c if p["type"] == "image_url"]
        pictures = [base64.b64decode(p["image_url"]["url"].partition(",")[2]) for p in parts]
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(400, "invalid_request_error", f"not understood: {error!r}") from None
    if not request.get("model"):
        raise Refusal(400, "invalid_request_error", "model: Field required")
    asked.entry.hashes = [hashlib.sha256(p).hexdigest() for p in pictures]
    return dict(request)


def _texts(request: dict[str, Any]) -> list[str]:
    contents = [m["content"] for m in request["messages"]]
    parts = [p for c in contents for p in (c if isinstance(c, list) else [{"text": c}])]
    return [p["text"] for p in parts if "text" in p]


async def _body(receive: Any) -> bytes:
    parts, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(parts)
