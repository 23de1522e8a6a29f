"""A server on the loopback that speaks as much of the OpenAI API as descriptions need, and fails as told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {
    "title": "A lighthouse",
    "description": "A white lighthouse stands on a cliff.",
    "tags": ["Lighthouse", "sea", "sea"],
    "visible_text": "",
    "objects": ["cliff"],
}


@dataclass
class Request:
    """What a client sent; `picture` is the JPEG in it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def picture(self) -> bytes:
        url = self.body["messages"][0]["content"][1]["image_url"]["url"]
        return base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))

    @property
    def format(self) -> str | None:
        return self.body.get("response_format", {}).get("type")


@dataclass
class Reply:
    """Status, headers and body of an answer; a mapping as body is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def says(content: object, **more: object) -> Reply:
    """A good answer whose message is `content`."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"message": {"role": "assistant", "content": text}, **more}
    return Reply(body={"id": "call-1", "choices": [choice]})


def refuses(status: int, message: str = "no", **headers: str) -> Reply:
    return Reply(status, {"error": {"message": message}}, headers)


@dataclass
class VisionServer:
    """Where it is, what came, how many were there at once."""

    url: str
    requests: list[Request] = field(default_factory=list)
    at_once: int = 0


@contextmanager
def vision_server(
    answer: Callable[[Request, int], Reply], *, host: str = "127.0.0.1"
) -> Iterator[VisionServer]:
    """Serve; `answer` gets each request and its number, from 0."""
    lock = threading.Lock()
    inside = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal inside
            content = self.rfile.read(int(self.headers["content-length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            request = Request(self.path, headers, json.loads(content))
            with lock:
                number = len(server.requests)
                server.requests.append(request)
                inside += 1
                server.at_once = max(server.at_once, inside)
            reply = answer(request, number)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            with lock:
                inside -= 1
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    http = ThreadingHTTPServer((host, 0), Handler)
    server = VisionServer(f"http://{host}:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
