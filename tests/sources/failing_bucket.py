"""A bucket over HTTP that answers as it is told to: refusals, and transfers that break off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Answer:
    """An error as S3 sends it; `after` bytes of an object, after which the connection ends, where it is a transfer."""

    status: int = 200
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: int | None = None

    def body(self) -> bytes:
        text = f"<Error><Code>{self.code}</Code><Message>as told</Message></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


@dataclass
class FailingBucket:
    """Objects by key, the answers that come first, and the requests that were made."""

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def headers(self, method: str = "GET") -> list[dict[str, str]]:
        """The headers of each request."""
        return [headers for made, _, headers in self.requests if made == method]


@contextmanager
def failing_bucket() -> Iterator[FailingBucket]:
    """A bucket of any name on a free port."""
    bucket = FailingBucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    bucket.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers for the bucket that a subclass names."""

    protocol_version = "HTTP/1.1"
    bucket: FailingBucket

    def do_GET(self) -> None:
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.bucket.requests.append((self.command, self.path, headers))
        told = self.bucket.answers.pop(0) if self.bucket.answers else self.bucket.always
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        if told is not None and told.after is None:
            self.send(told.status, told.body(), told.headers)
        elif key:
            self.transfer(key, headers, told)
        else:
            self.send(200, _listing(self.bucket, parse_qs(parts.query)))

    def transfer(self, key: str, headers: dict[str, str], told: Answer | None) -> None:
        data = self.bucket.objects[key]
        etag = _etag(data)
        if headers.get("if-match", etag) != etag:
            self.send(412, Answer(code="PreconditionFailed").body())
            return
        begin = int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        status, part = (206 if begin else 200), data[begin:]
        if told is None:
            self.send(status, part, {"ETag": etag})
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(part[: told.after])
        self.close_connection = True

    def send(self, status: int, body: bytes, headers: Any = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _listing(bucket: FailingBucket, query: dict[str, list[str]]) -> bytes:
    after = query.get("start-after", [""])[0]
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>{escape(_etag(data))}</ETag><Size>{len(data)}</Size></Contents>"
        for key, data in sorted(bucket.objects.items())
        if key > after
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()
