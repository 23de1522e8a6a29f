"""`client.datasets`: datasets that a server makes; newer servers have none, and this package makes them without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from aion_dagster.client import limits
from aion_dagster.client.errors import AionvisionError, ResourceNotFoundError
from aion_dagster.client.models.datasets import (
    Dataset,
    DatasetExport,
    DatasetFormat,
    DatasetList,
    DatasetStatistics,
    DatasetStatus,
)
from aion_dagster.client.resources.base import Resource, T, pages
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

Format = Literal["csv", "coco", "yolo", "pascal_voc"]


class DatasetsResource(Resource):
    """Create, list, read and export datasets, where the server has them.

    Where it has not, every method raises `ResourceNotFoundError` with code `NO_DATASETS_API`.
    """

    async def create(
        self,
        batch_id: str,
        name: str,
        *,
        description: str | None = None,
        format_config: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Make a dataset of a batch that has ended.

        A broken connection is not tried again: there might be two datasets then.
        """
        limits.check_text("name", name, limits.TITLE, 1)
        return await self._asked(
            Dataset,
            "POST /datasets",
            body={
                "batch_id": batch_id,
                "name": name,
                "description": description,
                "format_config": format_config,
            },
            repeat=Repeat.REFUSED,
        )

    async def list(
        self, *, status: DatasetStatus | str | None = None, limit: int = 100, offset: int = 0
    ) -> DatasetList:
        """A page of datasets; `status` is pending, processing, ready or failed."""
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._asked(
            DatasetList,
            "GET /datasets",
            query={"status": status, "limit": limit, "offset": offset},
        )

    async def list_all(
        self, *, status: DatasetStatus | str | None = None, page_size: int = 100
    ) -> AsyncIterator[Dataset]:
        """Every dataset."""

        async def page(offset: int, limit: int) -> list[Dataset]:
            return (await self.list(status=status, limit=limit, offset=offset)).datasets

        async for dataset in pages(page, page_size):
            yield dataset

    async def get(self, dataset_id: str) -> Dataset:
        """One dataset."""
        return await self._asked(
            Dataset, "GET /datasets/{dataset_id}", ids={"dataset_id": dataset_id}
        )

    async def export(
        self,
        dataset_id: str,
        format: Format | DatasetFormat,
        *,
        options: Mapping[str, Any] | None = None,
        include_failed_items: bool = False,
    ) -> DatasetExport:
        """Export a dataset; the answer holds where to download it.

        Args:
            dataset_id: the dataset.
            format: `csv`, `coco`, `yolo` or `pascal_voc`.
            options: of the format (`delimiter` of csv).
            include_failed_items: also items that failed.
        """
        return await self._asked(
            DatasetExport,
            "POST /datasets/{dataset_id}/export",
            ids={"dataset_id": dataset_id},
            body={
                "format": str(format),
                "options": options,
                "include_failed_items": include_failed_items,
            },
            repeat=Repeat.ANSWERED,
        )

    async def statistics(self, *, days: int = 30) -> DatasetStatistics:
        """All datasets and exports of the last days in numbers."""
        limits.check_number("days", days, 1, float("inf"))
        return await self._asked(
            DatasetStatistics, "GET /datasets/statistics/summary", query={"days": days}
        )

    async def _asked(self, answer: type[T], operation: str, **call: Any) -> T:
        """Ask; a 404 is looked into: is the thing missing, or the whole API?"""
        try:
            return await self._ask(answer, operation, **call)
        except AionvisionError as error:
            if error.status not in (404, 405) or await self._is_offered():
                raise
            raise ResourceNotFoundError(
                "this server has no datasets API; the dataset assets need none",
                code="NO_DATASETS_API",
                request_id=error.request_id,
                status=error.status,
            ) from error

    async def _is_offered(self) -> bool:
        try:
            await self._ask(DatasetList, "GET /datasets", query={"limit": 1})
        except AionvisionError as error:
            return error.status not in (404, 405)
        return True


class SyncDatasetsResource(SyncResource[DatasetsResource]):
    """The same, blocking."""

    create = blocking(DatasetsResource.create)
    list = blocking(DatasetsResource.list)
    list_all = iterating(DatasetsResource.list_all)
    get = blocking(DatasetsResource.get)
    export = blocking(DatasetsResource.export)
    statistics = blocking(DatasetsResource.statistics)
