"""`client.colors`: colors of pictures, and pictures by color."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.colors import (
    BatchColorExtractionResult,
    ColorExtractionResult,
    ColorFamilyInfo,
    ColorSearchResponse,
    ColorSearchResult,
)
from aion_dagster.client.resources.base import Resource, pages
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

FEWEST_COLORS: Final = 3
MOST_COLORS: Final = 16
SEARCH_PAGE: Final = 200


class ColorsResource(Resource):
    """Colors are extracted when a picture is uploaded; get them, search by them, extract them anew."""

    async def get(self, image_id: str) -> ColorExtractionResult:
        """The colors of a picture, or how far their extraction is."""
        return await self._ask(
            ColorExtractionResult, "GET /colors/images/{image_id}", ids={"image_id": image_id}
        )

    async def extract(
        self, image_id: str, *, force: bool = False, n_colors: int = 16
    ) -> ColorExtractionResult:
        """Extract the colors of a picture; answers before that is done.

        Args:
            image_id: the picture.
            force: also where they are there already.
            n_colors: 3 to 16 colors at most.
        """
        limits.check_number("n_colors", n_colors, FEWEST_COLORS, MOST_COLORS)
        return await self._ask(
            ColorExtractionResult,
            "POST /colors/images/{image_id}/extract",
            ids={"image_id": image_id},
            query={"force": force, "n_colors": n_colors},
            repeat=_repeat(force),
        )

    async def search(
        self,
        *,
        hex_code: str | None = None,
        color_name: str | None = None,
        color_family: str | None = None,
        delta_e_threshold: float = 15.0,
        min_percentage: float = 5.0,
        limit: int = 50,
        offset: int = 0,
    ) -> ColorSearchResponse:
        """Pictures that have a color; at least one of the first three says which.

        Args:
            hex_code: `#C4A87C`.
            color_name: walnut, brass …
            color_family: see `list_families`.
            delta_e_threshold: how far a color may be from `hex_code`, 0 to 100.
            min_percentage: the part of the picture that has it, 0 to 100.
            limit: 1 to 200 pictures.
            offset: after so many.
        """
        wanted = {"hex_code": hex_code, "color_name": color_name, "color_family": color_family}
        if not any(wanted.values()):
            raise limits.refuse(
                "hex_code", "one of hex_code, color_name and color_family is needed"
            )
        limits.check_number("delta_e_threshold", delta_e_threshold, 0, 100)
        limits.check_number("min_percentage", min_percentage, 0, 100)
        limits.check_number("limit", limit, 1, SEARCH_PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        body: dict[str, Any] = {
            **wanted,
            "delta_e_threshold": delta_e_threshold,
            "min_percentage": min_percentage,
            "limit": limit,
            "offset": offset,
        }
        return await self._ask(ColorSearchResponse, "POST /colors/search", body=body)

    async def search_all(
        self,
        *,
        hex_code: str | None = None,
        color_name: str | None = None,
        color_family: str | None = None,
        delta_e_threshold: float = 15.0,
        min_percentage: float = 5.0,
        page_size: int = 50,
    ) -> AsyncIterator[ColorSearchResult]:
        """Every picture that has a color (see `search`), `page_size` 1 to 200 at a time."""
        limits.check_number("page_size", page_size, 1, SEARCH_PAGE)

        async def page(offset: int, limit: int) -> Sequence[ColorSearchResult]:
            found = await self.search(
                hex_code=hex_code,
                color_name=color_name,
                color_family=color_family,
                delta_e_threshold=delta_e_threshold,
                min_percentage=min_percentage,
                limit=limit,
                offset=offset,
            )
            return found.results

        async for result in pages(page, page_size):
            yield result

    async def list_families(self) -> list[ColorFamilyInfo]:
        """The families that `search` takes."""
        return await self._ask(list[ColorFamilyInfo], "GET /colors/families")

    async def batch_extract(
        self, image_ids: Sequence[str], *, force: bool = False, n_colors: int = 16
    ) -> BatchColorExtractionResult:
        """Extract the colors of several pictures (see `extract`); answers before that is done."""
        limits.check_number("n_colors", n_colors, FEWEST_COLORS, MOST_COLORS)
        return await self._ask(
            BatchColorExtractionResult,
            "POST /colors/batch/extract",
            body={
                "image_ids": some_ids("image_ids", image_ids),
                "force": force,
                "n_colors": n_colors,
            },
            repeat=_repeat(force),
        )


class SyncColorsResource(SyncResource[ColorsResource]):
    """The same, blocking."""

    get = blocking(ColorsResource.get)
    extract = blocking(ColorsResource.extract)
    search = blocking(ColorsResource.search)
    search_all = iterating(ColorsResource.search_all)
    list_families = blocking(ColorsResource.list_families)
    batch_extract = blocking(ColorsResource.batch_extract)


def _repeat(force: bool) -> Repeat:
    """Without `force` the server answers what it has; with it, it works again."""
    return Repeat.ANSWERED if force else Repeat.SAFE
