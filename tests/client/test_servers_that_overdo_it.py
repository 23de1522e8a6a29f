"""Servers that send the key back, talk without end, or send the same page for ever: nothing of it goes further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loopback_api import KEY, LoopbackApi, Reply, blocking_client, loopback_api

from aion_dagster.client import SyncAionVision, errors


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
