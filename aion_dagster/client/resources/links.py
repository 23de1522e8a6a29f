"""`client.links`: bookmarked pages whose content the server fetches."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Sequence

from aion_dagster.client import limits
from aion_dagster.client.identifiers import some_ids
from aion_dagster.client.models.files import BatchDeleteFilesResponse, MediaType
from aion_dagster.client.models.links import (
    CreateLinkResult,
    LinkDeleteResult,
    LinkDetails,
    LinkItem,
    LinkList,
    LinkUpdateResult,
    RecrawlLinkResult,
)
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource, pages, until
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking, iterating


class LinksResource(Resource):
    """Save links, wait for their crawl, list, change and delete them."""

    async def create(
        self,
        url: str,
        *,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        folder_id: str | None = None,
        auto_crawl: bool = True,
    ) -> CreateLinkResult:
        """Save a link; a broken connection is not tried again, since there might be two links then.

        Args:
            url: http or https, at most 2048 characters.
            title: at most 500 characters; otherwise the page's own.
            tags: at most 40 of 50 characters.
            folder_id: where to; None for the root.
            auto_crawl: whether its page is fetched.
        """
        limits.check_link(url)
        limits.check_text("title", title, limits.LINK_TITLE)
        limits.check_tags(tags)
        return await self._ask(
            CreateLinkResult,
            "POST /user-files/links",
            body={
                "url": url,
                "title": title,
                "tags": None if tags is None else builtins.list(tags),
                "folder_id": folder_id,
                "auto_crawl": auto_crawl,
            },
            repeat=Repeat.REFUSED,
        )

    async def create_and_wait(
        self,
        url: str,
        *,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        folder_id: str | None = None,
        timeout: float | None = None,
    ) -> LinkDetails:
        """Save a link and wait until its page was fetched, or could not be (`crawl_status`, `crawl_error`).

        Raises:
            AionvisionTimeoutError: not over after `timeout` seconds; the link stays saved.
        """
        link = await self.create(url, title=title, tags=tags, folder_id=folder_id)
        return await self.wait_for_crawl(link.id, timeout=timeout)

    async def get(self, link_id: str) -> LinkDetails:
        """All that is known of a link."""
        return await self._ask(LinkDetails, "GET /user-files/{image_id}", ids={"image_id": link_id})

    async def list(
        self,
        *,
        search: str | None = None,
        tags: Sequence[str] | None = None,
        folder_id: str | None = None,
        crawl_status: str | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> LinkList:
        """Links that fulfil all conditions, 1 to 100 of them after `offset`.

        The API has no condition `crawl_status`: with one, all links are read, 100 at a time, and sorted out here.
        """
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        if crawl_status is None:
            return await self._page(search, tags, folder_id, date_from, date_to, limit, offset)
        found = [
            link
            async for link in self.list_all(
                search=search,
                tags=tags,
                folder_id=folder_id,
                crawl_status=crawl_status,
                date_from=date_from,
                date_to=date_to,
                page_size=limits.PAGE,
            )
        ]
        return LinkList(
            links=found[offset : offset + limit],
            total_count=len(found),
            has_more=offset + limit < len(found),
        )

    async def list_all(
        self,
        *,
        search: str | None = None,
        tags: Sequence[str] | None = None,
        folder_id: str | None = None,
        crawl_status: str | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        page_size: int = 50,
    ) -> AsyncIterator[LinkItem]:
        """Every link that fulfils all conditions (see `list`), `page_size` 1 to 100 at a time."""
        limits.check_number("page_size", page_size, 1, limits.PAGE)
        wanted = None if crawl_status is None else WorkStatus(crawl_status)

        async def page(offset: int, limit: int) -> Sequence[LinkItem]:
            listed = await self._page(search, tags, folder_id, date_from, date_to, limit, offset)
            return listed.links

        async for link in pages(page, page_size):
            if wanted is None or link.crawl_status == wanted:
                yield link

    async def update(
        self, link_id: str, *, title: str | None = None, tags: Sequence[str] | None = None
    ) -> LinkUpdateResult:
        """Change title (at most 255 characters) or tags (at most 40 of 50); None leaves one as it is."""
        limits.check_title(title)
        limits.check_tags(tags)
        return await self._ask(
            LinkUpdateResult,
            "PATCH /user-files/{image_id}",
            ids={"image_id": link_id},
            body={"title": title, "tags": None if tags is None else builtins.list(tags)},
        )

    async def delete(self, link_id: str) -> LinkDeleteResult:
        """Delete a link; it can be recovered for 30 days."""
        return await self._ask(
            LinkDeleteResult, "DELETE /user-files/{image_id}", ids={"image_id": link_id}
        )

    async def batch_delete(self, link_ids: Sequence[str]) -> BatchDeleteFilesResponse:
        """Delete 1 to 100 links."""
        return await self._ask(
            BatchDeleteFilesResponse,
            "POST /user-files/batch-delete",
            body={"file_ids": some_ids("link_ids", link_ids, 1, limits.DELETED_IDS)},
        )

    async def recrawl(self, link_id: str) -> RecrawlLinkResult:
        """Have the page fetched again.

        Raises:
            RateLimitError: it was fetched within the last hour; nothing else has to wait for that.
        """
        return await self._ask(
            RecrawlLinkResult,
            "POST /user-files/{link_id}/recrawl",
            ids={"link_id": link_id},
            repeat=Repeat.REFUSED,
            own_limit=True,
        )

    async def wait_for_crawl(self, link_id: str, *, timeout: float | None = None) -> LinkDetails:
        """Look until the page was fetched, or could not be.

        Raises:
            AionvisionTimeoutError: not over after `timeout` seconds (by default the client's `polling_timeout`);
                `last_result` is the link.
        """
        return await until(
            lambda: self.get(link_id),
            lambda link: link.crawl_status is not None and link.crawl_status.is_over,
            self._runtime,
            what=f"crawl of link {link_id}",
            interval=self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
        )

    async def _page(
        self,
        search: str | None,
        tags: Sequence[str] | None,
        folder_id: str | None,
        date_from: Moment | None,
        date_to: Moment | None,
        limit: int,
        offset: int,
    ) -> LinkList:
        if isinstance(tags, str):
            raise limits.refuse("tags", "a list of tags is expected, not one string")
        page = await self._ask(
            LinkList,
            "GET /user-files",
            query={
                "media_types": [MediaType.LINK.value],
                "search": search,
                "tags": None if tags is None else builtins.list(tags),
                "folder_id": folder_id,
                "date_from": iso_moment("date_from", date_from),
                "date_to": iso_moment("date_to", date_to),
                "limit": limit,
                "offset": offset,
            },
        )
        return page.placed(len(page.links), offset, limit)


class SyncLinksResource(SyncResource[LinksResource]):
    """The same, blocking."""

    create = blocking(LinksResource.create)
    create_and_wait = blocking(LinksResource.create_and_wait)
    get = blocking(LinksResource.get)
    list = blocking(LinksResource.list)
    list_all = iterating(LinksResource.list_all)
    update = blocking(LinksResource.update)
    delete = blocking(LinksResource.delete)
    batch_delete = blocking(LinksResource.batch_delete)
    recrawl = blocking(LinksResource.recrawl)
    wait_for_crawl = blocking(LinksResource.wait_for_crawl)
