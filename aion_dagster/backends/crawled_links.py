"""Rows of the table `links` of pages that are crawled here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.crawling.addresses import page_of, refusal, shown
from aion_dagster.crawling.crawler import Crawled, crawl
from aion_dagster.crawling.guarded_network import Resolve, looked_up
from aion_dagster.crawling.settings import LONGEST_URL, LinksConfig

Row = dict[str, Any]


def _no_progress(links: int) -> None:
    """Nobody watches."""


def crawled_links(
    config: LinksConfig,
    before: pa.Table | None = None,
    *,
    now: datetime | None = None,
    resolve: Resolve = looked_up,
    progress: Callable[[int], None] = _no_progress,
) -> pa.Table:
    """A row of schema `LINKS` per configured URL, in their order.

    A page that was crawled within `every_minutes` is not asked for again: its row of `before` stays.

    Args:
        config: the URLs, and how they are crawled.
        before: the table as it was made the last time.
        now: the time; the clock's if None.
        resolve: looks names up.
        progress: called with the number of links done since the last call.

    Raises:
        UnavailableError: the extra `links` is not installed.
    """
    moment = now or datetime.now(UTC)
    rows = _fresh(before, config.urls, moment - timedelta(minutes=config.every_minutes))
    refused = {
        url: why
        for url in config.urls
        if (why := refusal(url, longest=LONGEST_URL, allowed=config.networks))
    }
    rows |= {url: _refused(url, why) for url, why in refused.items()}
    asked = [url for url in config.urls if url not in rows]
    progress(len(config.urls) - len(asked))
    found = crawl(asked, config, resolve=resolve, progress=progress) if asked else {}
    rows |= {url: _row(url, crawled, moment) for url, crawled in found.items()}
    return pa.Table.from_pylist([rows[url] for url in config.urls], schema=schemas.LINKS)


def link_id(url: str) -> str:
    """The id of a page that is crawled here: a UUID of its URL."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, page_of(url)))


def _fresh(before: pa.Table | None, urls: Collection[str], since: datetime) -> dict[str, Row]:
    """Rows that are still new; those of pages that failed and may come another time are too: hosts are left in peace."""
    if before is None:
        return {}
    rows = before.to_pylist()
    return {
        row["source_url"]: row
        for row in rows
        if row["source_url"] in urls and row["crawled_at"] is not None and row["crawled_at"] > since
    }


def _refused(url: str, reason: str) -> Row:
    return {
        "source_url": shown(url),
        "was_there": False,
        "error": reason,
        "error_type": "validation",
        "is_retryable": False,
    }


def _row(url: str, crawled: Crawled, moment: datetime) -> Row:
    page = crawled.page
    row: Row = {
        "link_id": link_id(url),
        "source_url": url,
        "domain": urlsplit(url).hostname,
        "crawl_status": "failed" if page is None else "completed",
        "crawl_error": crawled.fault,
        "crawled_at": moment,
        "was_there": False,
        "is_retryable": None if page is not None else crawled.retryable,
        "final_url": crawled.url,
        "http_status": crawled.status,
        "is_cut": crawled.cut,
    }
    if page is None:
        return row
    return row | {
        "page_title": page.title,
        "og_metadata": orjson.dumps(page.og, option=orjson.OPT_SORT_KEYS).decode()
        if page.og
        else None,
        "favicon_url": page.favicon_url,
        "page_description": page.description,
        "page_text": page.text,
    }
