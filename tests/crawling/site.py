"""Websites on loopback, told page by page what they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What a path answers: `pieces` are sent one by one, so that a body may drip or have no end."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})
    pieces: Callable[[], Iterator[bytes]] | None = None


class Site:
    """Pages by path, and what was asked for: (Host header, path)."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append((self.headers.get("Host", ""), self.path))
                site.headers.append({k.lower(): v for k, v in self.headers.items()})
                answer = site.pages.get(self.path, Answer(status=404))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.pieces is None:
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                    return
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for piece in answer.pieces():
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: str | bytes = "", **more: object) -> str:
        """Serve a page; its URL."""
        content = body.encode() if isinstance(body, str) else body
        self.pages[path] = Answer(content, **more)  # type: ignore[arg-type]
        return self.url + path

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        """Serve a redirect; its URL."""
        self.pages[path] = Answer(status=status, headers={"Location": to})
        return self.url + path

    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [path for _, path in self.asked]


@contextmanager
def running_site() -> Iterator[Site]:
    """A site that answers on a free port until the block ends."""
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
