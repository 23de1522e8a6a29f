"""`client.files`: what is in the library, whatever it is."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.calls import Call
from aion_dagster.client.identifiers import maybe_ids, some_ids
from aion_dagster.client.landing import landed
from aion_dagster.client.models.files import (
    BatchDeleteFilesResponse,
    DeleteFileResult,
    FileList,
    UpdateFileResult,
    UserFile,
    UserFileDetails,
)
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource, pages
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

Words = Sequence[str]

SEARCH_MODES: Final = ("all", "metadata", "visible_text")


class FilesResource(Resource):
    """List, look at, change, delete and download files.

    Where a method takes a `file_id`, the API's `get` also takes its first eight characters.
    """

    async def list(
        self,
        *,
        search: str | None = None,
        search_mode: str | None = None,
        tags: Words | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        has_description: bool | None = None,
        ids: Words | None = None,
        limit: int = 20,
        offset: int = 0,
        sort_by: str | None = None,
        sort_order: str | None = None,
        media_types: Words | None = None,
        folder_id: str | None = None,
    ) -> FileList:
        """Files that fulfil all conditions.

        Args:
            search: words in titles, descriptions and visible text.
            search_mode: all, metadata or visible_text.
            tags: tags that a file has.
            date_from: created at that moment or later; without a zone it is in UTC.
            date_to: created at that moment or earlier.
            has_description: whether it has been described.
            ids: of these, 1 to 500; an empty list is refused, since the API takes it for no condition.
            limit: 1 to 100 of them.
            offset: after so many.
            sort_by: content_created_at (the server's default), created_at, title or size_bytes.
            sort_order: desc (the server's default) or asc.
            media_types: of image, document, video, link.
            folder_id: directly in this folder.
        """
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        limits.check_word("search_mode", search_mode, SEARCH_MODES)
        query = {
            "search": search,
            "search_mode": search_mode,
            "tags": _words("tags", tags),
            "date_from": iso_moment("date_from", date_from),
            "date_to": iso_moment("date_to", date_to),
            "has_description": has_description,
            "ids": maybe_ids("ids", ids, limits.LISTED_IDS),
            "limit": limit,
            "offset": offset,
            "sort_by": sort_by,
            "sort_order": sort_order,
            "media_types": _words("media_types", media_types),
            "folder_id": folder_id,
        }
        page = await self._ask(FileList, "GET /user-files", query=query)
        return page.placed(len(page.files), offset, limit)

    async def list_all(
        self,
        *,
        search: str | None = None,
        search_mode: str | None = None,
        tags: Words | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        has_description: bool | None = None,
        ids: Words | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        media_types: Words | None = None,
        folder_id: str | None = None,
        page_size: int = 50,
    ) -> AsyncIterator[UserFile]:
        """Every file that fulfils all conditions (see `list`), `page_size` 1 to 100 at a time.

        The API counts from the start of the list: files that come or go meanwhile move the others, so that some are
        seen twice or not at all. Sort by `created_at`, `asc`, where new ones come while you read.
        """

        async def page(offset: int, limit: int) -> Sequence[UserFile]:
            return (
                await self.list(
                    search=search,
                    search_mode=search_mode,
                    tags=tags,
                    date_from=date_from,
                    date_to=date_to,
                    has_description=has_description,
                    ids=ids,
                    limit=limit,
                    offset=offset,
                    sort_by=sort_by,
                    sort_order=sort_order,
                    media_types=media_types,
                    folder_id=folder_id,
                )
            ).files

        limits.check_number("page_size", page_size, 1, limits.PAGE)
        async for file in pages(page, page_size):
            yield file

    async def get(self, file_id: str) -> UserFileDetails:
        """All that is known of a file."""
        return await self._ask(
            UserFileDetails, "GET /user-files/{image_id}", ids={"image_id": file_id}
        )

    async def update(
        self, file_id: str, *, title: str | None = None, tags: Words | None = None
    ) -> UpdateFileResult:
        """Change title (at most 255 characters) or tags (at most 40 of 50); None leaves one as it is."""
        limits.check_title(title)
        limits.check_tags(tags)
        return await self._ask(
            UpdateFileResult,
            "PATCH /user-files/{image_id}",
            ids={"image_id": file_id},
            body={"title": title, "tags": None if tags is None else builtins.list(tags)},
        )

    async def delete(self, file_id: str) -> DeleteFileResult:
        """Delete a file; it can be recovered for 30 days."""
        return await self._ask(
            DeleteFileResult, "DELETE /user-files/{image_id}", ids={"image_id": file_id}
        )

    async def batch_delete(self, file_ids: Words) -> BatchDeleteFilesResponse:
        """Delete 1 to 100 files; those that are being processed are skipped."""
        return await self._ask(
            BatchDeleteFilesResponse,
            "POST /user-files/batch-delete",
            body={"file_ids": some_ids("file_ids", file_ids, 1, limits.DELETED_IDS)},
        )

    async def get_variant(self, file_id: str, variant_type: str = "medium_750") -> str:
        """The URL of a picture in a size, see `VariantType`; it needs no key and lives for an hour."""
        return await self._transport.location(
            Call(
                "GET /user-files/{image_id}/variant/{variant_type}",
                ids={"image_id": file_id, "variant_type": variant_type},
            )
        )

    async def download(self, file_id: str) -> bytes:
        """The original file, in memory; `download_to` for large ones."""
        return await self._transport.content(_download(file_id))

    async def download_to(self, file_id: str, path: str | Path) -> Path:
        """Write the original file to `path`, piece by piece; the file appears when it is whole."""
        return await landed(self._runtime, self._transport.pieces(_download(file_id)), Path(path))

    async def trigger_variant_generation(self, file_id: str) -> dict[str, Any]:
        """Make a picture's variants anew, where that failed or never happened."""
        return await self._ask(
            dict[str, Any],
            "POST /user-files/{image_id}/trigger-variants",
            ids={"image_id": file_id},
        )


class SyncFilesResource(SyncResource[FilesResource]):
    """The same, blocking."""

    list = blocking(FilesResource.list)
    list_all = iterating(FilesResource.list_all)
    get = blocking(FilesResource.get)
    update = blocking(FilesResource.update)
    delete = blocking(FilesResource.delete)
    batch_delete = blocking(FilesResource.batch_delete)
    get_variant = blocking(FilesResource.get_variant)
    download = blocking(FilesResource.download)
    download_to = blocking(FilesResource.download_to)
    trigger_variant_generation = blocking(FilesResource.trigger_variant_generation)


def _words(field: str, words: Words | None) -> list[str] | None:
    """What a repeated parameter holds."""
    if isinstance(words, str):
        raise limits.refuse(field, "a list is expected, not one string")
    return None if words is None else list(words)


def _download(file_id: str) -> Call:
    return Call("GET /user-files/{image_id}/download", ids={"image_id": file_id})
