"""Places that answers of the API name: who gets the key, who gets a body, what a large file costs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback_api import KEY, PREFIX, LoopbackApi, Reply, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.document_uploads import DocumentPresignedUploadResult
from aion_dagster.client.models.upload_presigned import PresignedUrlInfo

MEGABYTE = 1 << 20


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[LoopbackApi]:
    """Another host, which takes everything that comes."""
    with loopback_api() as server:
        for method in ("GET", "PUT", "POST"):
            server.on(f"{method} //taken", Reply(b"taken", headers={"ETag": '"e"'}))
        yield server


@pytest.fixture
def client(api: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(api) as asking:
        yield asking


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_storage_that_redirects_did_not_store_the_file(
    client: SyncAionVision, api: LoopbackApi, elsewhere: LoopbackApi, status: int
) -> None:
    api.on("PUT //storage", Reply(b"", status, {"Location": f"{elsewhere.url}/taken"}))
    url = f"{api.url}/storage"
    with pytest.raises(errors.AionvisionError, match="nothing was stored") as picture:
        client.uploads.send_presigned(PresignedUrlInfo(upload_url=url), b"picture")
    assert picture.value.status == status
    with pytest.raises(errors.AionvisionError, match="nothing was stored"):
        client.documents.send_presigned(
            DocumentPresignedUploadResult(upload_url=url), b"text", filename="a.txt"
        )
    assert len(api.asked("PUT //storage")) == 2
    assert elsewhere.requests == []


def test_a_form_for_storage_is_not_sent_on_either(
    client: SyncAionVision, api: LoopbackApi, elsewhere: LoopbackApi
) -> None:
    api.on("POST //storage", Reply(b"", 303, {"Location": f"{elsewhere.url}/taken"}))
    place = PresignedUrlInfo(
        upload_url=f"{api.url}/storage", upload_method="POST", upload_fields={"key": "a"}
    )
    with pytest.raises(errors.AionvisionError, match="nothing was stored"):
        client.uploads.send_presigned(place, b"picture")
    assert elsewhere.requests == []


def test_a_download_is_followed_to_where_it_lies_without_the_key(
    client: SyncAionVision, api: LoopbackApi, elsewhere: LoopbackApi
) -> None:
    moved = Reply(b"", 302, {"Location": f"{api.url}/storage"})
    api.on("GET /user-files/{id}/download", moved)
    api.on("GET //storage", Reply(b"", 307, {"Location": f"{elsewhere.url}/taken"}))
    assert client.files.download("f") == b"taken"
    assert "authorization" not in elsewhere.requests[0].headers
    assert "authorization" not in api.asked("GET //storage")[0].headers


def test_an_export_is_read_wherever_the_server_says(
    client: SyncAionVision, api: LoopbackApi, elsewhere: LoopbackApi
) -> None:
    """What lies below the base URL needs the key; nothing else gets it, not even on the same host."""
    api.on("GET /data/export/{id}/content", Reply(b"own"))
    api.on("GET //api/v20/content", Reply(b"beside"))
    api.on("GET //moved", Reply(b"", 302, {"Location": f"{elsewhere.url}/taken"}))
    for url, content, has_key in (
        (f"{PREFIX}/data/export/e/content", b"own", True),
        (f"{api.url}{PREFIX}/data/export/e/content", b"own", True),
        (f"{api.url}/api/v20/content", b"beside", False),
        (f"{api.url}/moved", b"taken", False),
        (f"{elsewhere.url}/taken", b"taken", False),
    ):
        api.on(
            "GET /data/export/{id}", {"export_id": "e", "status": "completed", "download_url": url}
        )
        assert client.data.download_export("e") == content
        asked = (elsewhere if content == b"taken" else api).requests[-1]
        assert (asked.headers.get("authorization") == f"Bearer {KEY}") is has_key, url
    assert all("authorization" not in asked.headers for asked in elsewhere.requests)


def test_storage_without_end_of_redirects_is_given_up(
    client: SyncAionVision, api: LoopbackApi
) -> None:
    api.on("GET //round", Reply(b"", 302, {"Location": f"{api.url}/round"}))
    api.on("GET /user-files/{id}/download", Reply(b"", 302, {"Location": f"{api.url}/round"}))
    with pytest.raises(errors.AionvisionConnectionError, match="redirects"):
        client.files.download("f")


@pytest.mark.parametrize("streaming", [True, False])
def test_a_call_that_is_redirected_fails_and_the_key_stays(
    client: SyncAionVision, api: LoopbackApi, elsewhere: LoopbackApi, streaming: bool
) -> None:
    operation = f"POST /chat/sessions/{{id}}/messages{'/stream' if streaming else ''}"
    api.on(operation, Reply(b"", 307, {"Location": f"{elsewhere.url}/taken"}))
    say = client.chats.send_stream if streaming else client.chats.send
    with pytest.raises(errors.AionvisionConnectionError) as caught:
        list(say("Hello", session_id="s"))  # type: ignore[call-overload]
    assert caught.value.code == "REDIRECTED"
    assert len(api.requests) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize("what", ["file", "document", "export"])
def test_a_large_file_is_written_without_being_held_in_memory(
    client: SyncAionVision, api: LoopbackApi, tmp_path: Path, what: str
) -> None:
    content = bytes(64 * MEGABYTE)
    api.on("GET //storage", Reply(content))
    moved = Reply(b"", 302, {"Location": f"{api.url}/storage"})
    api.on("GET /user-files/{id}/download", moved)
    api.on("GET /documents/{id}/download", moved)
    url = f"{api.url}/storage"
    api.on("GET /data/export/{id}", {"export_id": "e", "status": "completed", "download_url": url})
    write: Mapping[str, Any] = {
        "file": client.files.download_to,
        "document": client.documents.download_to,
        "export": client.data.download_export_to,
    }
    write[what]("warm", tmp_path / "warm")
    tracemalloc.start()
    try:
        path = write[what]("e", tmp_path / "large")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == len(content)
    assert most < 8 * MEGABYTE


def test_an_export_that_breaks_off_leaves_no_file(
    client: SyncAionVision, api: LoopbackApi, tmp_path: Path
) -> None:
    api.on("GET //storage", Reply(b"half", promised=8))
    url = f"{api.url}/storage"
    api.on("GET /data/export/{id}", {"export_id": "e", "status": "completed", "download_url": url})
    with pytest.raises(errors.AionvisionConnectionError):
        client.data.download_export_to("e", tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


class Noting:
    """A pacer that lets everything go and notes what it is told."""

    def __init__(self) -> None:
        self.held: list[float] = []

    def claim(self) -> float:
        return 0.0

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Nothing is learnt."""

    def hold(self, seconds: float) -> None:
        self.held.append(seconds)


RECRAWL = "POST /user-files/{id}/recrawl"


def test_a_link_that_was_crawled_within_the_hour_holds_nobody_up(api: LoopbackApi) -> None:
    pacer = Noting()
    refused = {"error": "RATE_LIMIT_ERROR", "message": "Recrawl is limited to once per hour"}
    with blocking_client(api, pacer=pacer) as client:
        for headers in ({}, {"Retry-After": "60"}, {"X-RateLimit-Remaining": "7"}):
            api.on(RECRAWL, Reply(refused, 429, headers))
            with pytest.raises(errors.RateLimitError, match="once per hour"):
                client.links.recrawl("l")
    assert pacer.held == []
    assert len(api.asked(RECRAWL)) == 3


def test_a_key_that_has_nothing_left_is_held_by_a_recrawl_as_by_any_call(api: LoopbackApi) -> None:
    pacer = Noting()
    headers = {"Retry-After": "0", "X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "10"}
    limited = Reply({"error": {"code": "RATE_LIMIT_ERROR", "message": "too fast"}}, 429, headers)
    api.on(RECRAWL, [limited, Reply({"status": "queued", "link_id": "l"})])
    with blocking_client(api, pacer=pacer) as client:
        assert client.links.recrawl("l").status == "queued"
    assert pacer.held == [0.0]
