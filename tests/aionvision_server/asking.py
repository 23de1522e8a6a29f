"""A bare HTTP client for the server's own tests: they must not depend on the client that the server judges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from .fixtures import Server
from .pictures import jpeg


class Asker:
    """Asks as a careful person with curl would."""

    def __init__(self, server: Server, http: httpx.Client) -> None:
        self.server, self.http = server, http

    def get(self, path: str, **query: Any) -> Any:
        return self.ok("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        return self.ok("POST", path, json=body)

    def ok(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a good answer; None without a body."""
        response = self.http.request(method, path, **request)
        assert response.status_code < 300, (
            f"{method} {path}: {response.status_code} {response.text}"
        )
        kind = response.headers["content-type"]
        return response.json() if response.content and kind == "application/json" else None

    def refused(self, status: int, method: str, path: str, **request: Any) -> Any:
        """The JSON of an error of this status."""
        response = self.http.request(method, path, **request)
        assert response.status_code == status, (
            f"{method} {path}: {response.status_code} {response.text}"
        )
        return response.json()

    def upload(self, number: int = 1, name: str | None = None, **form: str) -> httpx.Response:
        """One picture."""
        file = (name or f"{number}.jpg", jpeg(number), "image/jpeg")
        return self.http.post("/user-files/upload/stream", files={"file": file}, data=form)

    def upload_many(self, *numbers: int, **form: str) -> httpx.Response:
        """A batch of pictures."""
        files = [("files", (f"{n}.jpg", jpeg(n), "image/jpeg")) for n in numbers]
        return self.http.post("/user-files/upload/stream-batch", files=files, data=form)

    def uploaded(self, number: int = 1, **form: str) -> str:
        """The id of a picture that was sent and described."""
        file_id = self.upload(number, **form).json()["image_id"]
        for _ in range(3):
            self.get(f"/uploads/status/{file_id}")
        return str(file_id)


@contextmanager
def asking(server: Server, **headers: str) -> Iterator[Asker]:
    given = {"Authorization": f"Bearer {server.key}"} | headers
    with httpx.Client(base_url=server.url, headers=given, trust_env=False, timeout=30) as http:
        yield Asker(server, http)
