"""Datasets of older servers, and what a newer one is told about that has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aionvision_server.fixtures import Server
from loopback_api import LoopbackApi, Reply, awaited_client, blocking_client, loopback_api
from uploading import blocking_uploads, picture

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.datasets import DatasetFormat, DatasetStatus
from aion_dagster.client.resources.batch import BatchResource, SyncBatchResource
from aion_dagster.client.resources.datasets import DatasetsResource, SyncDatasetsResource

DATASET = {
    "id": "d",
    "name": "Poles",
    "batch_id": "b",
    "status": "ready",
    "total_items": 5,
    "successful_items": 4,
    "export_count": 1,
    "supported_formats": ["csv", "coco", "tfrecord"],
    "latest_export": {"export_id": "e", "format": "csv", "created_at": "2025-01-20T15:00:00"},
    "created_at": "2025-01-15T10:30:00Z",
}


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def datasets(server: LoopbackApi) -> Iterator[SyncDatasetsResource]:
    with blocking_client(server) as client:
        yield SyncDatasetsResource(DatasetsResource(client.transport))


def test_a_dataset_is_made_of_a_batch_and_exported(
    server: LoopbackApi, datasets: SyncDatasetsResource
) -> None:
    server.on("POST /datasets", Reply(DATASET | {"status": "pending"}, 201))
    server.on("GET /datasets/{dataset_id}", DATASET)
    export = {"export_id": "e", "dataset_id": "d", "format": "coco", "download_url": "https://x/y"}
    server.on("POST /datasets/{dataset_id}/export", export)
    made = datasets.create("b", "Poles", format_config={"csv_delimiter": ";"})
    assert made.status is DatasetStatus.PENDING
    assert server.asked("POST /datasets")[0].json == {
        "batch_id": "b", "name": "Poles", "format_config": {"csv_delimiter": ";"},
    }  # fmt: skip
    found = datasets.get(made.id)
    assert found.supported_formats == ["csv", "coco", "tfrecord"]
    assert found.latest_export is not None
    assert found.latest_export.created_at is not None
    assert found.latest_export.created_at.utcoffset() is not None
    exported = datasets.export(found.id, "coco", include_failed_items=True)
    assert exported.format is DatasetFormat.COCO
    assert server.asked("POST /datasets/{dataset_id}/export")[0].json == {
        "format": "coco", "include_failed_items": True,
    }  # fmt: skip


def test_datasets_are_listed_page_by_page(
    server: LoopbackApi, datasets: SyncDatasetsResource
) -> None:
    def page(asked: Any) -> dict[str, Any]:
        offset, limit = (int(asked.query[k][0]) for k in ("offset", "limit"))
        return {"datasets": [DATASET | {"id": str(n)} for n in range(7)][offset : offset + limit]}

    server.on("GET /datasets", page)
    found = list(datasets.list_all(status=DatasetStatus.READY, page_size=3))
    assert [d.id for d in found] == [str(n) for n in range(7)]
    assert server.asked("GET /datasets")[0].query["status"] == ["ready"]


def test_statistics(server: LoopbackApi, datasets: SyncDatasetsResource) -> None:
    answer = {"dataset_statistics": {"total_datasets": 15}, "popular_formats": [{"format": "csv"}]}
    server.on("GET /datasets/statistics/summary", answer)
    told = datasets.statistics(days=7)
    assert told.dataset_statistics["total_datasets"] == 15
    assert server.asked("GET /datasets/statistics/summary")[0].query == {"days": ["7"]}


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.create("b", "Poles"),
        lambda d: d.list(),
        lambda d: list(d.list_all()),
        lambda d: d.get("d"),
        lambda d: d.export("d", "coco"),
        lambda d: d.statistics(),
    ],
)
def test_a_server_without_datasets_is_named_as_one(
    datasets: SyncDatasetsResource, ask: Callable[[SyncDatasetsResource], object]
) -> None:
    with pytest.raises(errors.ResourceNotFoundError, match="has no datasets API") as caught:
        ask(datasets)
    assert caught.value.code == "NO_DATASETS_API"


def test_a_missing_dataset_is_not_a_missing_api(server: LoopbackApi) -> None:
    server.on("GET /datasets", {"datasets": [], "total_count": 0})

    async def asked() -> None:
        async with awaited_client(server) as client:
            await DatasetsResource(client.transport).get("gone")

    with pytest.raises(errors.ResourceNotFoundError) as caught:
        asyncio.run(asked())
    assert caught.value.code == "NOT_FOUND"


def test_a_creation_whose_answer_is_lost_is_not_repeated(
    server: LoopbackApi, datasets: SyncDatasetsResource
) -> None:
    server.on("POST /datasets", [Reply(b"", promised=100), DATASET])
    with pytest.raises(errors.AionvisionConnectionError):
        datasets.create("b", "Poles")
    assert len(server.asked("POST /datasets")) == 1


def test_the_test_servers_datasets_are_there_or_not(aionvision: Server) -> None:
    with (
        blocking_uploads(aionvision) as uploads,
        SyncAionVision(
            api_key=aionvision.key, base_url=aionvision.url, polling_interval=0.002
        ) as client,
    ):
        datasets = SyncDatasetsResource(DatasetsResource(client.transport))
        with pytest.raises(errors.ResourceNotFoundError, match="has no datasets API"):
            datasets.list()
        aionvision.side(datasets="present")
        batch = SyncBatchResource(BatchResource(client.transport))
        key = uploads.upload_one(picture(1), filename="a.png").object_key
        submitted = batch.submit_describe(object_keys=[key])
        batch.wait_for_completion(submitted.batch_id)
        made = datasets.create(submitted.batch_id, "Poles")
        assert [d.id for d in datasets.list_all()] == [made.id]
        assert datasets.export(made.id, "yolo").download_url
    aionvision.assert_clean()
