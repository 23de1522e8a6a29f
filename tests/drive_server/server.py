"""The HTTP side: one thread per connection, Google's paths, methods and headers."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .account import Account
from .faults import Fault, Faults
from .grants import Grants
from .operations import Operations
from .refusals import GrantRefusal, Refusal, not_found

Reply = tuple[int, bytes, dict[str, str]]


class DriveServer:
    """A running server: what it holds, who may ask, what goes wrong, and what was asked."""

    def __init__(self, account: Account | None = None) -> None:
        self.account = account or Account()
        self.grants = Grants()
        self.faults = Faults()
        self.operations = Operations(self.account)
        self.key = ""
        """Path of a credentials file, where a fixture wrote one."""
        self.asked_about: list[tuple[str, str]] = []
        """Method and file of every request for one file."""
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.drive = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def api_endpoint(self) -> str:
        """What Google's client library takes as `api_endpoint`."""
        return f"{self.url}/drive/v3/"

    @contextmanager
    def running(self) -> Iterator[DriveServer]:
        """Answer until the context ends."""
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    @property
    def requests(self) -> int:
        """Requests since the last `faults.count()`, those for tokens included."""
        return sum(self.faults.asked.values())

    def answer(self, method: str, file_id: str, parameters: dict[str, str], bearer: str) -> Reply:
        """The reply to a request of the API."""
        if method == "unknown":
            raise not_found(file_id)
        self.grants.check(bearer)
        if file_id:
            self.asked_about.append((method, file_id))
        operations = self.operations
        if method == "files.download":
            return _ranged(operations.download(file_id, parameters), parameters.get("range", ""))
        if method == "files.export":
            content, kind = operations.export(file_id, parameters)
            return 200, content, {"Content-Type": kind}
        if method == "files.get":
            return _json(200, operations.get(file_id, parameters))
        if method == "files.list":
            return _json(200, operations.list(parameters))
        if method == "changes.list":
            return _json(200, operations.changes(parameters))
        return _json(200, operations.start_page_token(parameters))


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    drive: DriveServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        method, file_id = _route(parts.path, parameters)
        self._serve(method, file_id, parameters, self.path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        parts = urlsplit(self.path)
        form = dict(parse_qsl(body, keep_blank_values=True))
        if parts.path == "/token":
            self._serve("token", "", form, "")
        else:  # the client library sends long queries so
            method, file_id = _route(parts.path, form)
            self._serve(method, file_id, form, body)

    def _serve(self, method: str, file_id: str, parameters: dict[str, str], text: str) -> None:
        drive = self.server.drive
        fault = drive.faults.asks(method, unquote(text))
        if fault is not None and fault.how == "reset":
            self._drop()
            return
        if fault is not None and fault.meanwhile is not None:
            fault.meanwhile()
        drive.faults.begins()
        try:
            status, body, headers = self._reply(method, file_id, parameters, fault)
        finally:
            drive.faults.ends()
        self._send(status, body, headers, fault)

    def _reply(
        self, method: str, file_id: str, parameters: dict[str, str], fault: Fault | None
    ) -> Reply:
        drive = self.server.drive
        try:
            if fault is not None and fault.refusal is not None:
                raise fault.refusal
            if method == "token":
                return _json(200, drive.grants.token(parameters, drive.url))
            if "Range" in self.headers:
                parameters["range"] = self.headers["Range"]
            return drive.answer(method, file_id, parameters, self.headers.get("Authorization", ""))
        except Refusal as refusal:
            status, body, headers = _json(refusal.status, refusal.body)
            return status, body, headers | refusal.headers
        except GrantRefusal as refusal:
            return _json(400, refusal.body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        if fault is not None and fault.how == "garbage":
            body = b"<html>502 Bad Gateway"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault is not None and fault.how == "cut":
            self.wfile.write(body[: len(body) // 2])
            self._drop()
            return
        self.wfile.write(body)
        self.wfile.flush()

    def _drop(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _route(path: str, parameters: dict[str, str]) -> tuple[str, str]:
    """The method that a path asks for, and the file it names."""
    rest = path.removeprefix("/drive/v3/")
    if rest == path:
        return "unknown", path
    if rest == "files":
        return "files.list", ""
    if rest == "changes":
        return "changes.list", ""
    if rest == "changes/startPageToken":
        return "changes.getStartPageToken", ""
    found = re.fullmatch(r"files/([^/]+)(/export)?", rest)
    if found is None:
        return "unknown", path
    file_id = unquote(found.group(1))
    if found.group(2):
        return "files.export", file_id
    return ("files.download" if parameters.get("alt") == "media" else "files.get"), file_id


def _json(status: int, value: Any) -> Reply:
    return status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"}


def _ranged(content: bytes, wanted: str) -> Reply:
    """The part of a content that a Range header asks for."""
    kind = {"Content-Type": "application/octet-stream"}
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    if found is None:
        return 200, content, kind
    first = int(found.group(1))
    last = min(int(found.group(2) or len(content)), len(content) - 1)
    if first > last:
        return 416, b"", {"Content-Range": f"bytes */{len(content)}"}
    return (
        206,
        content[first : last + 1],
        kind | {"Content-Range": f"bytes {first}-{last}/{len(content)}"},
    )
