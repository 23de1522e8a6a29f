"""A model hub on loopback: as much of the Hugging Face Hub's HTTP API as fetching a snapshot takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One model at one commit, tagged `v1`.

    Attributes:
        url: what HF_ENDPOINT is set to.
        asked: paths of requests, in order.
        tokens: Authorization headers that came.
        status: what every request is answered with where it is not 200; the body repeats the request's token.
        overloaded: how often the same is asked about the model in vain at first: the answer is 503.
    """

    name: str
    files: Mapping[str, bytes]
    url: str = ""
    status: int = 200
    error_code: str = ""
    overloaded: int = 0
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def tree(self) -> list[dict[str, object]]:
        return [
            {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": hashlib.sha1(content).hexdigest(),
            }
            for path, content in self.files.items()
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization", "")
        hub.asked.append(path)
        hub.tokens.append(token)
        api, raw = f"/api/models/{hub.name}", f"/{hub.name}/resolve/{COMMIT}/"
        if hub.status != 200:
            headers = {"X-Error-Code": hub.error_code, "X-Error-Message": f"not with {token}"}
            self._send(hub.status, json.dumps({"error": token}).encode(), headers, body=body)
        elif path.startswith(api) and hub.asked.count(path) <= hub.overloaded:
            self._send(503, b"{}", {}, body=body)
        elif path in (f"{api}/revision/v1", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": file} for file in hub.files]
            info = {"id": hub.name, "sha": COMMIT, "siblings": siblings}
            self._send(200, json.dumps(info).encode(), {}, body=body)
        elif path == f"{api}/tree/{COMMIT}":
            self._send(200, json.dumps(hub.tree()).encode(), {}, body=body)
        elif path.startswith(raw) and path.removeprefix(raw) in hub.files:
            content = hub.files[path.removeprefix(raw)]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT}, body=body)
        else:
            code = "RevisionNotFound" if path.startswith(api) else "EntryNotFound"
            self._send(404, b"{}", {"X-Error-Code": code}, body=body)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def hanging_up() -> Iterator[Hub]:
    """A server that hears a request and closes the connection without an answer."""

    class HangingUp(_Handler):
        def _answer(self, *, body: bool) -> None:
            self.hub.asked.append(self.path)
            self.close_connection = True

    with _listening(Hub("", {}), HangingUp) as hub:
        yield hub


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at a free port of this machine."""
    with _listening(hub, _Handler) as listening:
        yield listening


@contextmanager
def _listening(hub: Hub, handler: type[_Handler]) -> Iterator[Hub]:
    bound = type("Bound", (handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
