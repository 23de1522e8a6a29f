"""`client.materials`: materials in pictures, and pictures by material."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.materials import (
    BatchMaterialClassificationResult,
    MaterialClassificationResult,
    MaterialSearchResponse,
    MaterialSearchResult,
    MaterialType,
)
from aion_dagster.client.resources.base import Resource, pages
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

SEARCH_PAGE: Final = 200


class MaterialsResource(Resource):
    """Have pictures classified by what their surfaces are made of, and search by that."""

    async def get(self, image_id: str) -> MaterialClassificationResult:
        """The materials of a picture, or how far their classification is."""
        return await self._ask(
            MaterialClassificationResult,
            "GET /materials/images/{image_id}",
            ids={"image_id": image_id},
        )

    async def classify(self, image_id: str, *, force: bool = False) -> MaterialClassificationResult:
        """Have a picture classified by a vision model; with `force` also where that was done already."""
        return await self._ask(
            MaterialClassificationResult,
            "POST /materials/images/{image_id}/classify",
            ids={"image_id": image_id},
            query={"force": force},
            repeat=Repeat.ANSWERED,
        )

    async def search(
        self,
        *,
        material_type: str | None = None,
        surface_finish: str | None = None,
        texture: str | None = None,
        pattern: str | None = None,
        min_confidence: float = 0.5,
        limit: int = 50,
        offset: int = 0,
    ) -> MaterialSearchResponse:
        """Pictures that show a material.

        Args:
            material_type: see `list_types`.
            surface_finish: matte, glossy, brushed …
            texture: smooth, rough, grained …
            pattern: solid, striped, geometric …
            min_confidence: of the classification, 0 to 1.
            limit: 1 to 200 pictures.
            offset: after so many.
        """
        limits.check_number("min_confidence", min_confidence, 0, 1)
        limits.check_number("limit", limit, 1, SEARCH_PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        body: dict[str, Any] = {
            "material_type": material_type,
            "surface_finish": surface_finish,
            "texture": texture,
            "pattern": pattern,
            "min_confidence": min_confidence,
            "limit": limit,
            "offset": offset,
        }
        return await self._ask(MaterialSearchResponse, "POST /materials/search", body=body)

    async def search_all(
        self,
        *,
        material_type: str | None = None,
        surface_finish: str | None = None,
        texture: str | None = None,
        pattern: str | None = None,
        min_confidence: float = 0.5,
        page_size: int = 50,
    ) -> AsyncIterator[MaterialSearchResult]:
        """Every picture that shows a material (see `search`), `page_size` 1 to 200 at a time."""
        limits.check_number("page_size", page_size, 1, SEARCH_PAGE)

        async def page(offset: int, limit: int) -> Sequence[MaterialSearchResult]:
            found = await self.search(
                material_type=material_type,
                surface_finish=surface_finish,
                texture=texture,
                pattern=pattern,
                min_confidence=min_confidence,
                limit=limit,
                offset=offset,
            )
            return found.results

        async for result in pages(page, page_size):
            yield result

    async def list_types(self) -> list[MaterialType]:
        """The materials that are recognized."""
        return await self._ask(list[MaterialType], "GET /materials/types")

    async def batch_classify(
        self, image_ids: Sequence[str], *, force: bool = False
    ) -> BatchMaterialClassificationResult:
        """Have several pictures classified (see `classify`); answers before that is done."""
        return await self._ask(
            BatchMaterialClassificationResult,
            "POST /materials/batch/classify",
            body={"image_ids": some_ids("image_ids", image_ids), "force": force},
            repeat=Repeat.ANSWERED,
        )


class SyncMaterialsResource(SyncResource[MaterialsResource]):
    """The same, blocking."""

    get = blocking(MaterialsResource.get)
    classify = blocking(MaterialsResource.classify)
    search = blocking(MaterialsResource.search)
    search_all = iterating(MaterialsResource.search_all)
    list_types = blocking(MaterialsResource.list_types)
    batch_classify = blocking(MaterialsResource.batch_classify)
