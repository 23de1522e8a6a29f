"""The history of descriptions through the API, its exports and its pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from loopback_api import (
    KEY,
    Asked,
    LoopbackApi,
    Reply,
    awaited_client,
    blocking_client,
    loopback_api,
)

from aion_dagster.client.errors import (
    AionvisionError,
    AionvisionTimeoutError,
    ConflictError,
    ValidationError,
)
from aion_dagster.client.resources.data import DataResource, SyncDataResource

ID = "550e8400-e29b-41d4-a716-446655440000"
EXPORT = "GET /data/export/{id}"


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


@pytest.fixture
def data(api: LoopbackApi) -> Iterator[SyncDataResource]:
    with blocking_client(api) as client:
        yield SyncDataResource(DataResource(client.transport))


def test_every_condition_of_the_history_reaches_the_server(api: LoopbackApi, data: Any) -> None:
    api.on(
        "GET /data/descriptions",
        {
            "results": [{"id": "r", "created_at": "2025-01-15T10:30:00", "confidence_score": 0.9}],
            "total_count": 300,
            "statistics": {"total_count": 300, "average_confidence": 0.8, "daily_counts": None},
            "filters_applied": {"search_applied": True},
            "page_info": {"offset": 0, "limit": 100, "has_next": True, "total_pages": 3},
        },
    )
    history = data.get_descriptions(
        start_date="2025-01-01",
        end_date=datetime(2025, 2, 1, tzinfo=UTC),
        min_confidence=0.5,
        max_confidence=1,
        search=["pole", "wire"],
        source_types=["single", "batch"],
        offset=5,
        limit=1000,
    )
    assert api.requests[0].query == {
        "start_date": ["2025-01-01T00:00:00Z"],
        "end_date": ["2025-02-01T00:00:00Z"],
        "min_confidence": ["0.5"],
        "max_confidence": ["1"],
        "search": ["pole,wire"],
        "source_types": ["single,batch"],
        "offset": ["5"],
        "limit": ["1000"],
    }
    assert history.results[0].created_at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert (history.total_count, history.has_more) == (300, True)
    assert history.statistics is not None
    assert (history.statistics.average_confidence, history.statistics.daily_counts) == (0.8, [])
    assert history.filters_applied.search_applied


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"min_confidence": -0.1}, "min_confidence"),
        ({"max_confidence": 1.1}, "max_confidence"),
        ({"search": ["a,b"]}, "search"),
        ({"search": "pole"}, "search"),
        ({"source_types": "single"}, "source_types"),
    ],
)
def test_conditions_beyond_the_limits_are_not_sent(
    api: LoopbackApi, data: Any, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        data.get_descriptions(**given)
    assert refused.value.details["field"] == field
    assert api.requests == []


def test_iterating_counts_what_came(api: LoopbackApi, data: Any) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        start = int(asked.query["offset"][0])
        return {
            "results": [{"id": f"r{n}"} for n in range(start, min(start + 2, 5))],
            "page_info": {"has_next": False},
        }

    api.on("GET /data/descriptions", page)
    assert [r.id for r in data.iter_descriptions(search=["x"])] == [f"r{n}" for n in range(5)]


def test_an_export_is_begun_watched_and_downloaded_without_the_key(
    api: LoopbackApi, data: Any
) -> None:
    state = {"export_id": ID, "format": "jsonl", "created_at": "2025-01-15T10:30:00"}
    api.on("POST /data/export", Reply(state | {"status": "pending"}, 202))
    finished = state | {
        "status": "completed",
        "record_count": 2,
        "download_url": f"{api.url}/exports/x?signature=s1gned",
    }
    api.on(EXPORT, [state | {"status": "processing"}, finished])
    api.on("GET //exports/x", Reply(b"{}\n{}\n"))
    begun = data.export("jsonl", fields=["id"], include_failed=True, limit=100_000)
    assert api.requests[0].json == {
        "data_type": "descriptions",
        "format": "jsonl",
        "include_metadata": True,
        "include_failed": True,
        "fields": ["id"],
        "limit": 100_000,
    }
    over = data.wait_for_export(begun.export_id)
    assert over.record_count == 2
    assert "s1gned" not in repr(over)
    assert data.download_export(begun.export_id) == b"{}\n{}\n"
    assert KEY not in str(api.asked("GET //exports/x")[0].headers)


def test_an_export_of_too_much_is_not_begun(api: LoopbackApi, data: Any) -> None:
    with pytest.raises(ValidationError, match="limit"):
        data.export("csv", limit=100_001)
    assert api.requests == []


def test_an_export_that_failed_is_an_error(api: LoopbackApi, data: Any) -> None:
    api.on(EXPORT, {"export_id": ID, "status": "failed", "error_message": "disk full"})
    with pytest.raises(AionvisionError, match="disk full") as failed:
        data.wait_for_export(ID)
    assert failed.value.code == "EXPORT_FAILED"


def test_an_export_that_is_not_over_has_nothing_to_download(api: LoopbackApi, data: Any) -> None:
    api.on(EXPORT, {"export_id": ID, "status": "processing"})
    with pytest.raises(ConflictError, match="processing"):
        data.download_export(ID)
    with pytest.raises(AionvisionTimeoutError):
        data.wait_for_export(ID, timeout=0)


@pytest.mark.parametrize(
    ("method", "arguments", "path", "query"),
    [
        ("get_image", {"thumbnail": False}, f"images/{ID}", {"thumbnail": "false", "size": "small"}),
        ("get_batch_image", {"size": "tiny"}, f"batch-images/{ID}", {"thumbnail": "true", "size": "tiny"}),
        ("get_image_variant", {"variant_type": "tiny_64"}, f"images/{ID}/variant/tiny_64", {}),
        ("get_image_thumbnail", {"size": "medium"}, f"images/{ID}/thumbnail", {"size": "medium"}),
        ("get_batch_thumbnail", {}, f"batch-images/{ID}/thumbnail", {"size": "small"}),
    ],
)  # fmt: skip
def test_pictures_of_the_history_are_bytes(
    api: LoopbackApi, data: Any, method: str, arguments: dict[str, Any], path: str, query: Any
) -> None:
    api.on(f"GET /data/{path}", Reply(b"\xff\xd8\xff"))
    assert getattr(data, method)(ID, **arguments) == b"\xff\xd8\xff"
    assert {k: v[0] for k, v in api.requests[0].query.items()} == query


@pytest.mark.parametrize("answer", [{"variants": ["tiny_64"]}, ["tiny_64"]])
def test_variants_come_as_the_server_says_them(api: LoopbackApi, data: Any, answer: Any) -> None:
    api.on("GET /data/images/{id}/variants", Reply(answer))
    assert data.list_image_variants(ID) == answer


def test_the_awaited_client_does_the_same(api: LoopbackApi) -> None:
    api.on("GET /data/descriptions", [{"results": [{"id": "r"}]}, {"results": []}])

    async def use() -> list[str]:
        async with awaited_client(api) as client:
            return [r.id async for r in DataResource(client.transport).iter_descriptions()]

    assert asyncio.run(use()) == ["r"]
