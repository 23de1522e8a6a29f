"""Links through the API: saved, crawled, listed as files of their kind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_api import Asked, LoopbackApi, Reply, awaited_client, blocking_client, loopback_api

from aion_dagster.client.errors import (
    AionvisionTimeoutError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.resources.links import LinksResource, SyncLinksResource

ID = "550e8400-e29b-41d4-a716-446655440000"
URL = "https://github.com/example/repo"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def links(api: LoopbackApi) -> Iterator[SyncLinksResource]:
    with blocking_client(api) as client:
        yield SyncLinksResource(LinksResource(client.transport))


def created(**more: Any) -> Reply:
    return Reply(
        {"id": ID, "source_url": URL, "domain": "github.com", "crawl_status": "queued"} | more, 201
    )


def test_saving_sends_what_is_given(api: LoopbackApi, links: Any) -> None:
    api.on("POST /user-files/links", created(is_duplicate=True))
    link = links.create(URL, title="Repo", tags=["dev"], folder_id=ID, auto_crawl=False)
    assert api.requests[0].json == {
        "url": URL,
        "title": "Repo",
        "tags": ["dev"],
        "folder_id": ID,
        "auto_crawl": False,
    }
    assert (link.domain, link.is_duplicate, link.crawl_status) == (
        "github.com",
        True,
        WorkStatus.QUEUED,
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "ftp://x.org"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://x.org/" + "a" * 2048}, "url"),
        ({"url": URL, "title": "x" * 501}, "title"),
        ({"url": URL, "tags": ["x"] * 41}, "tags"),
    ],
)
def test_what_the_server_would_refuse_is_not_sent(
    api: LoopbackApi, links: Any, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        links.create(**given)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_saving_is_not_repeated_after_a_failure(api: LoopbackApi, links: Any) -> None:
    api.on("POST /user-files/links", Reply({"error": "E", "message": "broken"}, 500))
    with pytest.raises(ServerError):
        links.create(URL)
    assert len(api.requests) == 1


def test_waiting_ends_with_the_crawl(api: LoopbackApi, links: Any) -> None:
    details = {"id": ID, "source_url": URL, "og_metadata": {"title": "T"}}
    api.on("POST /user-files/links", created())
    api.on(
        "GET /user-files/{id}",
        [
            details | {"crawl_status": None},
            details | {"crawl_status": "processing"},
            details | {"crawl_status": "fetching_images"},
            details | {"crawl_status": "completed", "page_title": "Page"},
        ],
    )
    link = links.create_and_wait(URL, tags=["t"])
    assert (link.url, link.source_url, link.page_title) == (URL, URL, "Page")
    assert link.og_metadata == {"title": "T"}
    assert len(api.asked("GET /user-files/{id}")) == 4


def test_a_crawl_that_failed_is_an_end_too(api: LoopbackApi, links: Any) -> None:
    api.on("GET /user-files/{id}", {"id": ID, "crawl_status": "failed", "crawl_error": "gone"})
    link = links.wait_for_crawl(ID)
    assert link.crawl_status is not None
    assert link.crawl_status.is_failure
    assert link.crawl_error == "gone"


def test_a_crawl_that_does_not_end_says_what_was_seen_last(api: LoopbackApi, links: Any) -> None:
    api.on("GET /user-files/{id}", {"id": ID, "crawl_status": "processing"})
    with pytest.raises(AionvisionTimeoutError) as late:
        links.wait_for_crawl(ID, timeout=0)
    assert late.value.last_result.crawl_status == "processing"


def test_a_list_of_links_asks_for_links_only(api: LoopbackApi, links: Any) -> None:
    api.on(
        "GET /user-files",
        {"files": [{"id": ID, "source_url": URL, "crawl_status": "completed"}], "total": 9},
    )
    page = links.list(search="repo", tags=["dev"], folder_id=ID, date_from="2025-01-01", limit=1)
    assert api.requests[0].query == {
        "media_types": ["link"],
        "search": ["repo"],
        "tags": ["dev"],
        "folder_id": [ID],
        "date_from": ["2025-01-01T00:00:00Z"],
        "limit": ["1"],
        "offset": ["0"],
    }
    assert (page.links[0].url, page.total_count, page.has_more) == (URL, 9, True)


def crawled(number: int) -> dict[str, Any]:
    return {"id": f"id{number}", "crawl_status": "failed" if number % 3 == 0 else "completed"}


def test_a_crawl_status_is_sorted_out_here_and_counted_over_all_pages(
    api: LoopbackApi, links: Any
) -> None:
    everything = [crawled(number) for number in range(250)]

    def page(asked: Asked) -> dict[str, Any]:
        start, many = int(asked.query["offset"][0]), int(asked.query["limit"][0])
        return {"files": everything[start : start + many], "total_count": len(everything)}

    api.on("GET /user-files", page)
    failed = links.list(crawl_status="failed", limit=2, offset=3)
    assert [link.id for link in failed.links] == ["id9", "id12"]
    assert (failed.total_count, failed.has_more) == (84, True)
    assert all("crawl_status" not in asked.query for asked in api.requests)
    assert sum(1 for _ in links.list_all(crawl_status="completed")) == 166


def test_changing_and_deleting_go_the_way_of_files(api: LoopbackApi, links: Any) -> None:
    api.on("PATCH /user-files/{id}", {"id": ID, "title": "T", "tags": []})
    api.on("DELETE /user-files/{id}", {"id": ID, "message": "File deleted successfully"})
    api.on("POST /user-files/batch-delete", {"deleted": [{"id": ID, "status": "deleted"}]})
    assert links.update(ID, title="T", tags=[]).title == "T"
    assert links.delete(ID).message == "File deleted successfully"
    assert links.batch_delete([ID]).deleted[0].id == ID
    assert api.requests[-1].json == {"file_ids": [ID]}
    with pytest.raises(ValidationError, match="title"):
        links.update(ID, title="x" * 256)


def test_a_crawl_anew_is_queued(api: LoopbackApi, links: Any) -> None:
    api.on("POST /user-files/{id}/recrawl", {"status": "queued", "link_id": ID})
    again = links.recrawl(ID)
    assert (again.status, again.link_id) == (WorkStatus.QUEUED, ID)


def test_a_second_crawl_within_the_hour_is_an_error_at_once(api: LoopbackApi, links: Any) -> None:
    api.on(
        "POST /user-files/{id}/recrawl",
        Reply({"error": "RATE", "message": "once per hour"}, 429, {"Retry-After": "3300"}),
    )
    with pytest.raises(RateLimitError) as limited:
        links.recrawl(ID)
    assert limited.value.retry_after == 3300
    assert len(api.requests) == 1


def test_a_second_crawl_is_not_asked_for_endlessly_where_the_server_names_no_time(
    api: LoopbackApi, links: Any
) -> None:
    api.on("POST /user-files/{id}/recrawl", Reply({"error": "RATE", "message": "no"}, 429))
    with pytest.raises(RateLimitError):
        links.recrawl(ID)
    assert len(api.requests) <= 4


def test_the_awaited_client_does_the_same(api: LoopbackApi) -> None:
    api.on("POST /user-files/links", created())
    api.on("GET /user-files/{id}", {"id": ID, "crawl_status": "completed"})
    api.on("GET /user-files", [{"items": [{"id": "a"}]}, {"items": []}])

    async def use() -> tuple[str, list[str]]:
        async with awaited_client(api) as client:
            links = LinksResource(client.transport)
            link = await links.create_and_wait(URL)
            return link.id, [each.id async for each in links.list_all()]

    assert asyncio.run(use()) == (ID, ["a"])
