"""The ASGI application: reads a request, judges it, has it answered, and sends the answer as the faults want it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from .answering import Reply, as_reply
from .books import Entry, Violation
from .checking import Complaint
from .connections import Connection
from .errors import error_body
from .exchange import Answer, Asked, Gone, Refusal
from .faults import Fault
from .gate import asked_for, key_of, take_turn, too_fast
from .judging import Judge
from .multipart import MalformedError, MultipartReader
from .registry import HANDLERS, Handler
from .replying import send_reply
from .routing import Routes
from .sides import adapt
from .specification import PREFIX
from .world import World

_MOST_JSON: Final = 64 * 1024 * 1024


class Application:
    """The API below `/api/v2`, and what stands beside it (`others`, by the first segment of the path)."""

    def __init__(self, world: World, others: dict[str, Any]) -> None:
        self._world = world
        self._others = others
        self._judge = Judge(world.specification)
        known = world.specification.operations if world.specification else {}
        self._routes = Routes([*known, *HANDLERS])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["raw_path"].decode("ascii")
        other = self._others.get(path.split("/")[1])
        if other is not None:
            await other(scope, receive, send)
            return
        connection: Connection = scope["state"]["connection"]
        books = self._world.books
        entry = books.arrive(connection.number, scope["method"], path)
        connection.last = entry
        try:
            reply = await self._reply(scope, receive, path, entry)
        except Gone:
            return
        except Exception:
            books.failures.append(traceback.format_exc())
            raise
        books.requests[entry.operation] += 1
        books.statuses[f"{reply.status} {entry.operation}"] += 1
        await send_reply(self._world, connection, entry, reply, send)

    async def _reply(self, scope: Any, receive: Any, path: str, entry: Entry) -> Reply:
        """The answer of any request, errors included."""
        request_id = f"req-{entry.number:08d}"
        asked: Asked | None = None
        faults: list[Fault] = []
        headers: dict[str, str] = {}
        try:
            asked, media = await self._read(scope, receive, path, entry)
            answer, faults, headers = self._answer(asked, media)
        except Refusal as refusal:
            answer, faults = self._refused(entry, refusal, request_id), []
        subjects = _subjects(asked) if asked is not None and faults else []
        return as_reply(answer, {**headers, "x-request-id": request_id}, faults, subjects)

    async def _read(self, scope: Any, receive: Any, path: str, entry: Entry) -> tuple[Asked, str]:
        """The request, read to its end, and the media type of its body."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        found = self._routes.find(scope["method"], path.removeprefix(PREFIX))
        if not isinstance(found, tuple) or not path.startswith(f"{PREFIX}/"):
            entry.operation = f"{scope['method']} ?"
            await _body(receive)
            if isinstance(found, str) and path.startswith(f"{PREFIX}/"):
                raise Refusal(
                    405, "METHOD_NOT_ALLOWED", "Method Not Allowed", headers={"allow": found}
                )
            raise Refusal(404, "NOT_FOUND", "Not Found")
        entry.operation, ids = found
        query = parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, strict_parsing=False
        )
        asked = Asked(entry.operation, entry, ids, query, headers)
        kind = headers.get("content-type", "")
        media = kind.partition(";")[0].strip().lower()
        if media == "multipart/form-data":
            await self._read_form(asked, kind, receive)
        else:
            body = await _body(receive)
            if body and media == "application/json":
                try:
                    asked.body = orjson.loads(body)
                except ValueError as error:
                    raise Refusal(422, "VALIDATION_ERROR", f"JSON decode error: {error}") from None
            elif not body:
                media = ""
        entry.accepted = time.time()
        return asked, media

    async def _read_form(self, asked: Asked, content_type: str, receive: Any) -> None:
        try:
            reader = MultipartReader(content_type, self._world.collector)
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                reader.feed(message.get("body", b""))
                more = message.get("more_body", False)
            reader.finish()
        except MalformedError as error:
            raise Refusal(400, "VALIDATION_ERROR", str(error)) from None
        asked.fields, asked.uploads = reader.fields, reader.uploads
        asked.entry.hashes = [u.stored.sha256 for u in reader.uploads]

    def _answer(self, asked: Asked, media: str) -> tuple[Answer, list[Fault], dict[str, str]]:
        """The answer, unless the gate, a fault, the specification or the operation refuses."""
        world = self._world
        handler = HANDLERS.get(asked.operation)
        if handler is not None and handler.side is not None:
            name, values = handler.side
            if world.sides[name] not in values:
                raise Refusal(404, "NOT_FOUND", "Not Found")
        key = key_of(world, dict(asked.headers))
        asked.key = key.text
        complaints = self._complaints(asked, media, handler)
        turn, headers = take_turn(world, key)
        if turn is not None and not turn.allowed:
            return self._limited(asked.entry, too_fast(world, turn), headers)
        faults = world.faults.hitting(asked.operation, _subjects(asked)) if world.faults else []
        for fault in faults:
            world.books.faults[fault.kind] += 1
            asked.entry.fault = fault.kind
            _work_within(asked, fault)
        before = next((f for f in faults if f.before), None)
        if before is not None and before.kind in ("status", "rate_limit"):
            return self._limited(asked.entry, asked_for(world, before), headers)
        if before is not None:
            return Answer(status=503), faults, headers
        fatal = next((c for c in complaints if c.fatal), None)
        if fatal is not None:
            raise Refusal(
                422,
                "VALIDATION_ERROR",
                fatal.reason,
                details={"place": fatal.place, "field": fatal.field},
            )
        return self._worked(asked, handler), faults, headers

    def _limited(
        self, entry: Entry, refusal: Refusal, headers: dict[str, str]
    ) -> tuple[Answer, list[Fault], dict[str, str]]:
        refused = self._refused(entry, refusal, f"req-{entry.number:08d}")
        return refused, [], headers

    def _worked(self, asked: Asked, handler: Handler | None) -> Answer:
        """What the operation answers, held against the specification, on the sides that are taken."""
        world = self._world
        answer = handler.handle(world, asked) if handler else self._judge.generic(asked)
        if answer.raw is None and answer.events is None:
            wrong = self._judge.wrong_answer(asked.operation, answer.status, answer.body)
            if wrong is not None:
                world.books.own_violations.append(Violation(asked.operation, wrong, refused=False))
            status, body = adapt(asked.operation, answer.status, answer.body, world.sides)
            return Answer(body, status, answer.headers)
        return answer

    def _complaints(self, asked: Asked, media: str, handler: Handler | None) -> list[Complaint]:
        complaints = list(self._judge.complaints(asked, media, handler))
        for complaint in complaints:
            place = f"{complaint.place}.{complaint.field}".rstrip(".")
            self._world.books.violations.append(
                Violation(asked.operation, f"{place}: {complaint.reason}", complaint.fatal)
            )
        return complaints

    def _refused(self, entry: Entry, refusal: Refusal, request_id: str) -> Answer:
        world = self._world
        if refusal.status == 429:
            world.books.refused[refusal.code] += 1
        body = error_body(
            entry.operation, refusal, world.sides["error_body"], request_id, world.now()
        )
        return Answer(body, refusal.status, refusal.headers)


def _work_within(asked: Asked, fault: Fault) -> None:
    match fault.kind:
        case "stuck":
            asked.stuck = True
        case "expire":
            asked.expiring = True
        case "failing":
            asked.failing.append(fault)
        case "reject":
            asked.rejecting.append(fault)


def _subjects(asked: Asked) -> list[str]:
    """What a request is about: names and hashes of its files, ids in its path, texts in its body."""
    files = [t for u in asked.uploads for t in (u.filename, u.stored.sha256)]
    return [*files, *asked.ids.values(), *_texts(asked.body)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


async def _body(receive: Any) -> bytes:
    parts = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        if len(parts) <= _MOST_JSON:
            parts += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(parts)
