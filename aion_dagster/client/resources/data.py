"""`client.data`: the history of descriptions, exports of it, and the pictures it speaks of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.errors import AionvisionError, ConflictError
from aion_dagster.client.landing import landed
from aion_dagster.client.models.data import (
    DataExportType,
    DescriptionHistory,
    ExportFormat,
    ExportStatus,
    ProcessingResult,
)
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource, pages, until
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

HISTORY_PAGE: Final = 1000
EXPORTED: Final = 100_000
"""Records of an export, at most."""

Words = Sequence[str]


class DataResource(Resource):
    """Look into the history, export it, get its pictures."""

    async def get_descriptions(
        self,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        search: Words | None = None,
        source_types: Words | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> DescriptionHistory:
        """Descriptions that were made and fulfil all conditions.

        Args:
            start_date: at that moment or later; without a zone it is in UTC.
            end_date: at that moment or earlier.
            min_confidence: 0 to 1.
            max_confidence: 0 to 1.
            search: words; none holds a comma, which separates them.
            source_types: single or batch.
            offset: after so many.
            limit: 1 to 1000 of them.
        """
        limits.check_number("min_confidence", min_confidence, 0, 1)
        limits.check_number("max_confidence", max_confidence, 0, 1)
        limits.check_number("offset", offset, 0, float("inf"))
        limits.check_number("limit", limit, 1, HISTORY_PAGE)
        return await self._ask(
            DescriptionHistory,
            "GET /data/descriptions",
            query={
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
                "min_confidence": min_confidence,
                "max_confidence": max_confidence,
                "search": _joined("search", search),
                "source_types": _joined("source_types", source_types),
                "offset": offset,
                "limit": limit,
            },
        )

    async def iter_descriptions(
        self,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        search: Words | None = None,
        source_types: Words | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[ProcessingResult]:
        """Every description that fulfils all conditions (see `get_descriptions`), `page_size` 1 to 1000 at a time."""

        async def page(offset: int, limit: int) -> Sequence[ProcessingResult]:
            history = await self.get_descriptions(
                start_date=start_date,
                end_date=end_date,
                min_confidence=min_confidence,
                max_confidence=max_confidence,
                search=search,
                source_types=source_types,
                offset=offset,
                limit=limit,
            )
            return history.results

        limits.check_number("page_size", page_size, 1, HISTORY_PAGE)
        async for result in pages(page, page_size):
            yield result

    async def export(
        self,
        format: ExportFormat | str = ExportFormat.JSONL,
        *,
        data_type: DataExportType | str = DataExportType.DESCRIPTIONS,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        min_confidence: float | None = None,
        max_confidence: float | None = None,
        search_terms: Words | None = None,
        source_types: Words | None = None,
        include_metadata: bool = True,
        include_failed: bool = False,
        fields: Words | None = None,
        limit: int | None = None,
    ) -> ExportStatus:
        """Begin an export.

        Args:
            format: csv, json or jsonl.
            data_type: descriptions.
            start_date: as of `get_descriptions`, as are the following.
            end_date: as above.
            min_confidence: as above.
            max_confidence: as above.
            search_terms: words.
            source_types: as above.
            include_metadata: with what is known beyond the description.
            include_failed: with what failed.
            fields: only these fields.
            limit: 1 to 100,000 records.
        """
        limits.check_word("format", format, tuple(ExportFormat))
        limits.check_word("data_type", data_type, tuple(DataExportType))
        limits.check_number("min_confidence", min_confidence, 0, 1)
        limits.check_number("max_confidence", max_confidence, 0, 1)
        limits.check_number("limit", limit, 1, EXPORTED)
        return await self._ask(
            ExportStatus,
            "POST /data/export",
            body={
                "data_type": data_type,
                "format": format,
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
                "min_confidence": min_confidence,
                "max_confidence": max_confidence,
                "search_terms": _listed("search_terms", search_terms),
                "source_types": _listed("source_types", source_types),
                "include_metadata": include_metadata,
                "include_failed": include_failed,
                "fields": _listed("fields", fields),
                "limit": limit,
            },
            repeat=Repeat.ANSWERED,
        )

    async def get_export(self, export_id: str) -> ExportStatus:
        """How far an export is."""
        return await self._ask(
            ExportStatus, "GET /data/export/{export_id}", ids={"export_id": export_id}
        )

    async def wait_for_export(
        self, export_id: str, *, timeout: float | None = None
    ) -> ExportStatus:
        """Look until an export is over.

        Raises:
            AionvisionError: it failed (`code` EXPORT_FAILED).
            AionvisionTimeoutError: not over after `timeout` seconds (by default the client's `polling_timeout`);
                `last_result` is its state.
        """
        state = await until(
            lambda: self.get_export(export_id),
            lambda export: export.status.is_over,
            self._runtime,
            what=f"export {export_id}",
            interval=self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
        )
        if state.status.is_failure:
            raise AionvisionError(
                f"export {export_id}: {state.status}: {state.error_message or 'no reason given'}",
                code="EXPORT_FAILED",
                details={"export_id": export_id, "status": state.status.value},
            )
        return state

    async def download_export(self, export_id: str) -> bytes:
        """The content of an export that is over, in memory.

        Raises:
            ConflictError: there is nothing to download, or not yet.
        """
        return await self._transport.fetch(await self._place_of_export(export_id))

    async def download_export_to(self, export_id: str, path: str | Path) -> Path:
        """Write the content of an export that is over to `path`, piece by piece; the file appears when it is whole.

        Raises:
            ConflictError: there is nothing to download, or not yet.
        """
        url = await self._place_of_export(export_id)
        return await landed(self._runtime, self._transport.pieces_at(url), Path(path))

    async def _place_of_export(self, export_id: str) -> str:
        state = await self.get_export(export_id)
        if not state.download_url:
            raise ConflictError(
                f"export {export_id} is {state.status} and has nothing to download",
                code="EXPORT_NOT_READY",
            )
        return urljoin(self._config.base_url, state.download_url)

    async def get_image(
        self, verification_id: str, *, thumbnail: bool = True, size: str = "small"
    ) -> bytes:
        """A picture of the history; of a thumbnail `size` is tiny, small or medium."""
        return await self._picture(
            "GET /data/images/{verification_id}",
            {"verification_id": verification_id},
            {"thumbnail": thumbnail, "size": size},
        )

    async def get_batch_image(
        self, item_id: str, *, thumbnail: bool = True, size: str = "small"
    ) -> bytes:
        """The picture of an item of a batch; of a thumbnail `size` is tiny, small or medium."""
        return await self._picture(
            "GET /data/batch-images/{item_id}",
            {"item_id": item_id},
            {"thumbnail": thumbnail, "size": size},
        )

    async def list_image_variants(self, verification_id: str) -> dict[str, Any] | list[Any]:
        """In which sizes a picture is there, as the server says it; the specification gives it no type."""
        return await self._ask(
            dict[str, Any] | list[Any],  # type: ignore[arg-type]  # a union is no class
            "GET /data/images/{verification_id}/variants",
            ids={"verification_id": verification_id},
        )

    async def get_image_variant(self, verification_id: str, variant_type: str) -> bytes:
        """A picture in a size, see `VariantType`."""
        return await self._picture(
            "GET /data/images/{verification_id}/variant/{variant_type}",
            {"verification_id": verification_id, "variant_type": variant_type},
            {},
        )

    async def get_image_thumbnail(self, verification_id: str, *, size: str = "small") -> bytes:
        """A picture as a thumbnail: tiny, small or medium."""
        return await self._picture(
            "GET /data/images/{verification_id}/thumbnail",
            {"verification_id": verification_id},
            {"size": size},
        )

    async def get_batch_thumbnail(self, batch_item_id: str, *, size: str = "small") -> bytes:
        """The picture of an item of a batch as a thumbnail: tiny, small or medium."""
        return await self._picture(
            "GET /data/batch-images/{batch_item_id}/thumbnail",
            {"batch_item_id": batch_item_id},
            {"size": size},
        )

    async def _picture(self, operation: str, ids: dict[str, str], query: dict[str, Any]) -> bytes:
        return await self._transport.content(Call(operation, ids=ids, query=query))


class SyncDataResource(SyncResource[DataResource]):
    """The same, blocking."""

    get_descriptions = blocking(DataResource.get_descriptions)
    iter_descriptions = iterating(DataResource.iter_descriptions)
    export = blocking(DataResource.export)
    get_export = blocking(DataResource.get_export)
    wait_for_export = blocking(DataResource.wait_for_export)
    download_export = blocking(DataResource.download_export)
    download_export_to = blocking(DataResource.download_export_to)
    get_image = blocking(DataResource.get_image)
    get_batch_image = blocking(DataResource.get_batch_image)
    list_image_variants = blocking(DataResource.list_image_variants)
    get_image_variant = blocking(DataResource.get_image_variant)
    get_image_thumbnail = blocking(DataResource.get_image_thumbnail)
    get_batch_thumbnail = blocking(DataResource.get_batch_thumbnail)


def _listed(field: str, words: Words | None) -> list[str] | None:
    if isinstance(words, str):
        raise limits.refuse(field, "a list is expected, not one string")
    return None if words is None else list(words)


def _joined(field: str, words: Words | None) -> str | None:
    """Words as this part of the API wants them: joined by commas."""
    listed = _listed(field, words)
    if listed is not None and any("," in word for word in listed):
        raise limits.refuse(field, "a word holds a comma, which separates words")
    return ",".join(listed) if listed else None
