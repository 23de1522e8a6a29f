"""Lists of documents."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aion_dagster.client import limits
from aion_dagster.client.models.documents import DocumentItem, DocumentList
from aion_dagster.client.resources.document_uploads import DocumentUploadsResource


class DocumentListing(DocumentUploadsResource):
    """What documents there are."""

    async def list(
        self, *, page: int = 1, page_size: int = 20, status_filter: str | None = None
    ) -> DocumentList:
        """A page of documents, counted from 1, of 1 to 100; `status_filter` is a state of their extraction."""
        limits.check_number("page", page, 1, float("inf"))
        limits.check_number("page_size", page_size, 1, limits.PAGE)
        listed = await self._ask(
            DocumentList,
            "GET /documents",
            query={"page": page, "page_size": page_size, "status_filter": status_filter},
        )
        return listed.placed(len(listed.documents), (page - 1) * page_size, page_size)

    async def list_all(
        self, *, page_size: int = 50, status_filter: str | None = None
    ) -> AsyncIterator[DocumentItem]:
        """Every document (see `list`), `page_size` 1 to 100 at a time."""
        page = 1
        while documents := (
            await self.list(page=page, page_size=page_size, status_filter=status_filter)
        ).documents:
            for document in documents:
                yield document
            page += 1
