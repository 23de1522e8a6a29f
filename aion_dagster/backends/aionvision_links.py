"""Links of the Aionvision platform: saved once per URL, and waited for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.backends.aionvision_begin import begun_calls, is_hopeless
from aion_dagster.backends.aionvision_errors import kind_of, never_begun, refused_for_good, told
from aion_dagster.backends.aionvision_link_rows import (
    CRAWL,
    Row,
    SavedLink,
    crawled_row,
    known_row,
    open_rows,
    row_without_link,
)
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Settlement, Standing
from aion_dagster.backends.link_urls import page_of, refusal, shown
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.files import UserFile
from aion_dagster.client.models.links import LinkDetails
from aion_dagster.client.models.statuses import WorkStatus
from aion_dagster.client.models.upload_results import classified
from aion_dagster.engines import AionvisionConfig

OPERATION: Final = "link"
PARAMETERS: Final = "1"
_THERE: Final = "was_there"
"""Noted with the id of a link that the remote library had before us."""


def links_table(backend: AionvisionBackend, calls: CallJournal, urls: Sequence[str]) -> pa.Table:
    """A row of schema `LINKS` per URL; each is saved once, and nothing is asked of those whose crawl is over.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """
    distinct = list(dict.fromkeys(urls))
    refused = {url: reason for url in distinct if (reason := refusal(url))}
    good = [url for url in distinct if url not in refused]

    async def ask(client: AionVision) -> dict[str, Row]:
        return await _Links(backend.config, client, calls, backend.engine).rows(good)

    rows = backend.ask(ask) if good else {}
    rows |= {
        url: row_without_link(shown(url), "validation", why, retryable=False)
        for url, why in refused.items()
    }
    return pa.Table.from_pylist([rows[url] for url in distinct], schema=schemas.LINKS)


@dataclass
class _Links:
    """Saves links and waits for their pages."""

    config: AionvisionConfig
    client: AionVision
    calls: CallJournal
    engine: str

    async def rows(self, urls: Sequence[str]) -> dict[str, Row]:
        """URL → its row; URLs that mean the same page share a link."""
        keys: dict[CallKey, str] = {}
        for url in urls:
            keys.setdefault(self._key(url), url)
        rows = await self._distinct_rows(keys)
        return {url: {**rows[keys[self._key(url)]], "source_url": url} for url in urls}

    async def _distinct_rows(self, keys: Mapping[CallKey, str]) -> dict[str, Row]:
        known = {b.key: b for b in await asyncio.to_thread(self.calls.look, list(keys))}
        unknown = [k for k, b in known.items() if b.may_send and b.remote_id is None]
        there = await self._there({keys[key] for key in unknown}) if unknown else {}
        begun = await self._begin(keys, there)
        rows = {keys[key]: row for key, one in begun.items() if (row := known_row(keys[key], one))}
        saved = []
        try:
            for key, one in begun.items():
                url = keys[key]
                if url not in rows:
                    link = await self._saved(key, url, one, there.get(url))
                    if isinstance(link, SavedLink):
                        saved.append(link)
                    else:
                        rows[url] = link
        finally:
            free = [key for key, one in begun.items() if one.may_send]
            await asyncio.to_thread(self.calls.release, free)
        return rows | await self._waited(saved)

    def _key(self, url: str) -> CallKey:
        digest = hashlib.sha256(page_of(url).encode()).hexdigest()
        return CallKey(digest, OPERATION, PARAMETERS, self.engine)

    async def _begin(
        self, keys: Mapping[CallKey, str], there: Mapping[str, str]
    ) -> dict[CallKey, Begun]:
        """How the links stand; those that the remote library has take no unit of the budget."""
        begun: dict[CallKey, Begun] = {}
        for free in (False, True):
            some = [key for key, url in keys.items() if (url in there) is free]
            timeout = self.config.polling_timeout
            begun |= await begun_calls(self.calls, some, timeout=timeout, lookup=True, free=free)
        return begun

    async def _there(self, urls: set[str]) -> dict[str, str]:
        """URL → id of the link that the remote library has of it."""
        pages = {page_of(url): url for url in urls}
        found: dict[str, str] = {}
        async for link in self.client.links.list_all(page_size=PAGE):
            url = pages.get(page_of(link.url))
            if url is not None:
                found.setdefault(url, link.id)
                if len(found) == len(pages):
                    break
        return found

    async def _saved(
        self, key: CallKey, url: str, begun: Begun, there: str | None
    ) -> SavedLink | Row:
        """A link that the platform has now, or the row of one that it has not."""
        if begun.remote_id is not None:
            if begun.standing is Standing.GRANTED:
                return await self._crawled_again(key, url, begun.remote_id)
            return SavedLink(url, begun.remote_id, begun.session_id == _THERE)
        if there is not None:
            # One that we sent and never heard of was not there before us.
            return await self._accepted(
                key, SavedLink(url, there, begun.standing is Standing.GRANTED)
            )
        await asyncio.to_thread(self.calls.sent, [key])
        try:
            link = await self.client.links.create(url, tags=list(self.config.tags) or None)
        except api.AionvisionError as error:
            return await self._not_saved(key, url, error)
        return await self._accepted(key, SavedLink(url, link.id, link.is_duplicate))

    async def _accepted(self, key: CallKey, link: SavedLink) -> SavedLink:
        mark = _THERE if link.was_there else None
        await asyncio.to_thread(self.calls.accepted, {key: (link.link_id, mark)})
        return link

    async def _crawled_again(self, key: CallKey, url: str, link_id: str) -> SavedLink | Row:
        """A link whose page could not be fetched is crawled once more."""
        await asyncio.to_thread(self.calls.sent, [key])
        try:
            await self.client.links.recrawl(link_id)
        except api.AionvisionError as error:
            if error.code != "ALREADY_PROCESSING":
                return {**await self._not_saved(key, url, error), "link_id": link_id}
        return await self._accepted(key, SavedLink(url, link_id, was_there=False))

    async def _not_saved(self, key: CallKey, url: str, error: api.AionvisionError) -> Row:
        """The row of a link that was not saved, as far as is known."""
        kind, retryable = kind_of(error), not refused_for_good(error)
        if is_hopeless(error):
            await asyncio.to_thread(self.calls.refused, [key])
            raise error
        if never_begun(error):
            await asyncio.to_thread(self.calls.refused, [key])
        elif not retryable:
            await asyncio.to_thread(
                self.calls.failed, key, str(error), kind=kind, retryable=retryable
            )
        # Anything else may have arrived: it stays in doubt, and the next run looks for it before it saves it again.
        return row_without_link(url, kind, str(error), retryable=retryable)

    async def _waited(self, saved: Sequence[SavedLink]) -> dict[str, Row]:
        """Rows of links, once their pages were fetched, or could not be, or that takes too long."""
        # A server may take two addresses for one page: they have one link then.
        left: dict[str, list[SavedLink]] = {}
        for link in saved:
            left.setdefault(link.link_id, []).append(link)
        rows: dict[str, Row] = {}
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.polling_timeout
        while left:
            try:
                files = await self._files(list(left))
            except api.AionvisionError as error:
                if is_hopeless(error):
                    raise
                return rows | open_rows(left, kind_of(error), str(error))
            over = [i for i in left if i not in files or _is_over(files[i])]
            for link_id in over:
                for link in left.pop(link_id):
                    rows[link.url] = await self._ended(link, files.get(link_id))
            if left and loop.time() > end:
                return rows | open_rows(left, "timeout", "still being crawled; look again later")
            if left:
                await asyncio.sleep(self.config.polling_interval)
        return rows

    async def _files(self, ids: Sequence[str]) -> dict[str, UserFile | LinkDetails]:
        """The links as they are now, a hundred in a request; what lists leave out, by itself."""
        files: dict[str, UserFile | LinkDetails] = {}
        for start in range(0, len(ids), PAGE):
            page = await self.client.files.list(ids=ids[start : start + PAGE], limit=PAGE)
            files |= {file.id: file for file in page.files}
        short = [i for i, f in files.items() if _is_over(f) and f.crawled_at is None]
        looks = [partial(self._whole, i, files[i]) for i in short]
        whole = await self.client.transport.runtime.several(looks, self.config.parallel)
        return files | dict(zip(short, whole, strict=True))

    async def _whole(self, link_id: str, listed: UserFile | LinkDetails) -> UserFile | LinkDetails:
        """A link with all that is known of it; as it was listed where it cannot be looked at by itself."""
        try:
            return await self.client.links.get(link_id)
        except api.AionvisionError as error:
            if is_hopeless(error):
                raise
            return listed

    async def _ended(self, link: SavedLink, file: UserFile | LinkDetails | None) -> Row:
        """Note how a crawl ended."""
        key = self._key(link.url)
        if file is None:
            reason = "the remote library does not list this link; it may have been deleted there"
            await asyncio.to_thread(
                self.calls.failed, key, reason, kind="not_found", retryable=False
            )
            return row_without_link(link.url, "not_found", reason, retryable=False)
        row = crawled_row(link, file)
        if WorkStatus(file.crawl_status or "").is_failure:
            reason = told(file.crawl_error, "the page could not be fetched")
            retryable = classified(reason)[1]
            await asyncio.to_thread(self.calls.failed, key, reason, kind=CRAWL, retryable=retryable)
            return {**row, "crawl_error": reason, "is_retryable": retryable}
        payload = orjson.loads(orjson.dumps(row))
        await asyncio.to_thread(self.calls.settled, {key: Settlement(payload, link.link_id)})
        return row


def _is_over(file: UserFile | LinkDetails) -> bool:
    return file.crawl_status is not None and WorkStatus(file.crawl_status).is_over
