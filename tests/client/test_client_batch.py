"""Batch operations through the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api
from uploading import blocking_uploads, picture

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.batch import BatchImageInput, BatchItemStatus, BatchStatus
from aion_dagster.client.resources.batch import BatchResource, SyncBatchResource

SUBMIT = "POST /batch/describe"
STATUS = "GET /batch/{batch_id}"
RESULTS = "GET /batch/{batch_id}/results"
LOST = Reply(b"", promised=100)


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def batch(server: LoopbackApi) -> Iterator[SyncBatchResource]:
    with blocking_client(server) as client:
        yield SyncBatchResource(BatchResource(client.transport))


def test_stored_pictures_are_described_again_with_a_prompt(
    server: LoopbackApi, batch: SyncBatchResource
) -> None:
    server.on(SUBMIT, Reply({"batch_id": "b", "status": "pending", "total_items": 3}, 202))
    url = BatchImageInput(image_url="https://example.com/a.jpg", metadata={"row": 1})
    submitted = batch.submit_describe(
        [url], object_keys=["k1", "k2"], prompt="Count poles.", providers=["p"]
    )
    assert (submitted.batch_id, submitted.total_items) == ("b", 3)
    assert server.asked(SUBMIT)[0].json == {
        "images": [
            {"image_url": "https://example.com/a.jpg", "metadata": {"row": 1}},
            {"object_key": "k1"},
            {"object_key": "k2"},
        ],
        "prompt": "Count poles.",
        "providers": ["p"],
        "consensus_threshold": 0.7,
        "max_parallel": 5,
        "timeout_per_item": 30,
    }


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("images", {}),
        ("images", {"images": [BatchImageInput()]}),
        ("images", {"images": [BatchImageInput(image_url="u", object_key="k")]}),
        ("consensus_threshold", {"object_keys": ["k"], "consensus_threshold": 1.1}),
        ("max_parallel", {"object_keys": ["k"], "max_parallel": 21}),
        ("timeout_per_item", {"object_keys": ["k"], "timeout_per_item": 4}),
    ],
)
def test_limits_are_checked_before_sending(
    server: LoopbackApi, batch: SyncBatchResource, field: str, given: dict[str, Any]
) -> None:
    with pytest.raises(errors.ValidationError) as caught:
        batch.submit_describe(**given)
    assert caught.value.details == {"field": field}
    assert server.requests == []


def test_a_paid_submission_is_not_repeated_after_a_lost_answer(
    server: LoopbackApi, batch: SyncBatchResource
) -> None:
    server.on(SUBMIT, [LOST, {"batch_id": "b"}])
    with pytest.raises(errors.AionvisionConnectionError):
        batch.submit_describe(object_keys=["k"])
    server.on(SUBMIT, [Reply({}, 503), {"batch_id": "b"}])
    assert batch.submit_describe(object_keys=["k"]).batch_id == "b"


@pytest.mark.parametrize("end", ["completed", "cancelled", "partially_completed", "partial"])
def test_a_batch_is_awaited_until_it_ends(
    server: LoopbackApi, batch: SyncBatchResource, end: str
) -> None:
    states = ["pending", "processing", "dreaming", end]
    server.on(STATUS, [{"batch_id": "b", "status": state} for state in states])
    seen: list[str] = []
    final = batch.wait_for_completion("b", on_progress=lambda s: seen.append(str(s.status)))
    assert final.status == end
    assert seen == states


def test_a_batch_that_failed_raises(server: LoopbackApi, batch: SyncBatchResource) -> None:
    server.on(STATUS, {"batch_id": "b", "status": "failed", "total_items": 4, "failed_items": 4})
    with pytest.raises(errors.BatchError, match="4 of 4 items") as caught:
        batch.wait_for_completion("b")
    assert caught.value.details["batch_id"] == "b"


def test_a_batch_that_does_not_end_gives_its_last_state(
    server: LoopbackApi, batch: SyncBatchResource
) -> None:
    server.on(STATUS, {"batch_id": "b", "status": "processing", "progress_percentage": 40})
    with pytest.raises(errors.AionvisionTimeoutError) as caught:
        batch.wait_for_completion("b", timeout=0.01, poll_interval=0.001)
    assert caught.value.last_result.progress_percentage == 40


def page(asked: Any) -> dict[str, Any]:
    offset, limit = (int(asked.query[k][0]) for k in ("offset", "limit"))
    words = ("success", "completed", "failed")
    items = [
        {
            "item_id": str(n),
            "item_index": n,
            "status": words[n % 3],
            "output_data": {"description": f"d{n}", "confidence_score": 1},
            "error_message": None,
        }
        for n in range(12)
    ]
    if asked.query["include_failed"] == ["false"]:
        items = [item for item in items if item["status"] != "failed"]
    return {
        "batch_id": "b",
        "status": "completed",
        "results": items[offset : offset + limit],
        "pagination": {"offset": offset, "limit": limit, "total": len(items), "has_more": False},
        "summary": {"total_items": 12, "successful": 8, "failed": 4},
    }


def test_results_by_pages(server: LoopbackApi, batch: SyncBatchResource) -> None:
    server.on(RESULTS, page)
    first = batch.get_results("b", limit=5)
    assert first.status is BatchStatus.COMPLETED
    assert (first.pagination.total, first.summary.successful_items) == (12, 8)
    assert [item.item_index for item in first.successful_results()] == [0, 1, 3, 4]
    assert [item.item_index for item in first.failed_results()] == [2]
    assert first.results[1].status is BatchItemStatus.SUCCESS
    assert (first.results[0].description, first.results[0].confidence_score) == ("d0", 1.0)
    everything = list(batch.get_all_results("b", page_size=5))
    assert [item.item_index for item in everything] == list(range(12))
    good = list(batch.get_all_results("b", include_failed=False, page_size=500))
    assert len(good) == 8


def test_a_batch_is_cancelled_with_an_answer_that_is_empty(server: LoopbackApi) -> None:
    server.on("DELETE /batch/{batch_id}", Reply(status=204))

    async def cancelled() -> None:
        async with awaited_client(server) as client:
            await BatchResource(client.transport).cancel("b")

    assert asyncio.run(cancelled()) is None
    assert len(server.asked("DELETE /batch/{batch_id}")) == 1


def test_a_stored_picture_is_described_anew_by_a_batch(aionvision: Server) -> None:
    with blocking_uploads(aionvision) as uploads:
        first = uploads.upload_one(picture(1), filename="a.png")
    with SyncAionVision(
        api_key=aionvision.key, base_url=aionvision.url, polling_interval=0.002
    ) as client:
        batch = SyncBatchResource(BatchResource(client.transport))
        submitted = batch.submit_describe(object_keys=[first.object_key], prompt="Count the poles.")
        assert batch.wait_for_completion(submitted.batch_id).successful_items == 1
        (item,) = batch.get_all_results(submitted.batch_id)
    assert item.description
    assert item.description != first.description
    assert len(aionvision.objects()) == 1
    aionvision.assert_clean()
