"""A small real HTTP server in a thread, and clients of it: answers are set per operation, requests are kept."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aion_dagster.client import AionVision, SyncAionVision

KEY = "aion_0123456789abcdefghij"
PREFIX = "/api/v2"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    """Content-Length to claim; the connection breaks off where there is less."""


Answer = Callable[[Asked], Any]


class LoopbackApi:
    """`api.on("GET /user-files", …)` with a value, a `Reply`, a list of them to use up, or a function."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self._answers: list[tuple[str, re.Pattern[str], Any]] = []
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without this every small answer waits for the delayed acknowledgement of the one before.
            disable_nagle_algorithm = True
            wbufsize = -1

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def serve(self) -> None:
                api._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *args: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, operation: str, answer: Any) -> None:
        """What an operation (`"GET /user-files/{id}"`, or `"PUT //storage"` beside the API) answers."""
        method, path = operation.split(" ")
        whole = path[1:] if path.startswith("//") else PREFIX + path
        pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(whole)))
        with self._lock:
            self._answers.insert(0, (method, pattern, answer))

    def asked(self, operation: str) -> list[Asked]:
        """Requests of an operation, in the order of their arrival."""
        method, path = operation.split(" ")
        whole = path[1:] if path.startswith("//") else PREFIX + path
        pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(whole)))
        with self._lock:
            return [r for r in self.requests if r.method == method and pattern.fullmatch(r.path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = Asked(
            handler.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {k.lower(): v for k, v in handler.headers.items()},
            _body(handler),
        )
        with self._lock:
            self.requests.append(asked)
            answer = self._answer(asked)
        if callable(answer):
            answer = answer(asked)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.status == 204:
            body = b""
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(reply.promised or len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        if reply.promised is not None:
            handler.close_connection = True

    def _answer(self, asked: Asked) -> Any:
        for method, pattern, answer in self._answers:
            if method == asked.method and pattern.fullmatch(asked.path):
                if isinstance(answer, list):
                    return answer.pop(0) if len(answer) > 1 else answer[0]
                return answer
        return Reply({"error": {"code": "NOT_FOUND", "message": f"no {asked.path}"}}, 404)


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
        pieces = []
        while size := int(handler.rfile.readline().split(b";")[0], 16):
            pieces.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(pieces)
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


@contextlib.contextmanager
def loopback_api() -> Iterator[LoopbackApi]:
    """A server for the time of a test."""
    api = LoopbackApi()
    try:
        yield api
    finally:
        api.close()


def settings_for(api: LoopbackApi) -> dict[str, Any]:
    """A client's settings that wait as good as never."""
    return {
        "api_key": KEY,
        "base_url": api.url + PREFIX,
        "retry_delay": 0.0,
        "polling_interval": 0.001,
        "polling_timeout": 20.0,
        "timeout": 20.0,
    }


def blocking_client(api: LoopbackApi, **given: Any) -> SyncAionVision:
    """A synchronous client of it."""
    return SyncAionVision(**(settings_for(api) | given))


def awaited_client(api: LoopbackApi, **given: Any) -> AionVision:
    """An asynchronous client of it."""
    return AionVision(**(settings_for(api) | given))
