"""Servers that send the key back, talk without end, or send the same page for ever: nothing of it goes further."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from loopback_api import KEY, LoopbackApi, Reply, blocking_client, loopback_api, settings_for

from aion_dagster.client import AionVision, SyncAionVision, errors
from aion_dagster.client.bodies import MOST_BYTES, TOO_LARGE, read_whole, read_whole_async


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server, max_retries=0) as made:
        yield made


def file(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"f{number}", "title": "a picture", **more}


def test_the_key_in_a_good_answer_is_masked(server: LoopbackApi, client: SyncAionVision) -> None:
    told = file(1, title=f"sent with {KEY}", tags=[KEY], unknown={KEY: f"<{KEY}>"})
    server.on("GET /user-files", {"files": [told], "total_count": 1})
    (found,) = client.files.list().files
    assert KEY not in found.model_dump_json()
    assert found.title == "sent with …"


def test_a_message_without_end_is_cut_off_and_shows_no_beginning_of_the_key(
    server: LoopbackApi, client: SyncAionVision
) -> None:
    for length in (1_990, 2_000, 5_000_000):
        message = "x" * length + KEY + "y" * 100_000
        server.on("GET /user-files", Reply({"error": {"code": "BAD", "message": message}}, 400))
        with pytest.raises(errors.ValidationError) as caught:
            client.files.list()
        assert len(str(caught.value)) < 2_200
        assert KEY[:8] not in str(caught.value)


def test_a_list_whose_server_takes_no_notice_of_the_offset_ends(
    server: LoopbackApi, client: SyncAionVision
) -> None:
    links = [{"id": f"l{n}", "url": f"https://example.com/{n}"} for n in range(3)]
    page = {"links": links, "files": links, "total_count": 3, "has_more": True}
    server.on("GET /user-files", page)
    server.on("GET /user-files/links", page)
    assert [link.id for link in client.links.list_all(page_size=3)] == ["l0", "l1", "l2"]


def test_pages_that_differ_are_all_read(server: LoopbackApi, client: SyncAionVision) -> None:
    def page(asked: Any) -> dict[str, Any]:
        first = int(asked.query.get("offset", ["0"])[0])
        return {"files": [file(n) for n in range(first, min(first + 2, 7))], "total_count": 7}

    server.on("GET /user-files", page)
    assert [f.id for f in client.files.list_all(page_size=2)] == [f"f{n}" for n in range(7)]


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_would_fill_the_memory_is_refused_once(
    server: LoopbackApi, status: int
) -> None:
    server.on("GET /user-files", Reply(b"[", status, promised=MOST_BYTES + 1))
    with blocking_client(server, max_retries=3) as client:
        with pytest.raises(errors.InvalidResponseError) as caught:
            client.files.list()
        assert (caught.value.code, caught.value.status) == (TOO_LARGE, status)
        assert "GET /user-files" in str(caught.value)
        assert len(server.asked("GET /user-files")) == 1
        server.on("GET /user-files", {"files": [file(1)], "total_count": 1})
        assert len(client.files.list().files) == 1


def test_the_other_client_refuses_it_too(server: LoopbackApi) -> None:
    server.on("GET /user-files", Reply(b"[", promised=MOST_BYTES + 1))

    async def asked() -> None:
        async with AionVision(**settings_for(server)) as client:
            await client.files.list()

    with pytest.raises(errors.InvalidResponseError, match=TOO_LARGE):
        asyncio.run(asked())
    assert len(server.asked("GET /user-files")) == 1


def test_a_file_may_be_larger_than_any_json(server: LoopbackApi, client: SyncAionVision) -> None:
    server.on("GET /user-files/{id}/download", Reply(b"a file", promised=MOST_BYTES + 1))
    with pytest.raises(errors.AionvisionConnectionError):  # it was begun with, and broke off
        client.files.download("f1")


@pytest.mark.parametrize("packed", [True, False])
def test_a_body_is_read_up_to_its_limit_however_small_it_was_packed(
    server: LoopbackApi, packed: bool
) -> None:
    body = bytes(100_000)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.on("GET //body", Reply(gzip.compress(body) if packed else body, headers=headers))
    with httpx.Client() as sender:
        with sender.stream("GET", f"{server.url}/body") as response:
            assert read_whole(response, len(body)) == response.content == body
        with (
            sender.stream("GET", f"{server.url}/body") as response,
            pytest.raises(errors.InvalidResponseError, match="more than 99,999 bytes"),
        ):
            read_whole(response, len(body) - 1)
        assert response.is_closed

    async def asked() -> bytes:
        async with (
            httpx.AsyncClient() as sender,
            sender.stream("GET", f"{server.url}/body") as response,
        ):
            with pytest.raises(errors.InvalidResponseError, match="more than 10 bytes"):
                await read_whole_async(response, 10)
        assert response.is_closed
        async with (
            httpx.AsyncClient() as sender,
            sender.stream("GET", f"{server.url}/body") as response,
        ):
            return await read_whole_async(response)

    assert asyncio.run(asked()) == body
