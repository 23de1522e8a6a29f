"""Many links: hosts side by side, the pages of one host one after the other, each within its time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aion_dagster.crawling.addresses import page_of, refusal
from aion_dagster.crawling.faults import CrawlFault
from aion_dagster.crawling.fetching import Fetched, Fetcher, is_retryable
from aion_dagster.crawling.guarded_network import Resolve, looked_up
from aion_dagster.crawling.pages import HTML, TEXT, Page, read_page
from aion_dagster.crawling.robots import RobotsRules
from aion_dagster.crawling.settings import LONGEST_URL, LinksConfig

_SNIFFED: Final = (b"<!doctype html", b"<html", b"<head", b"<body")


@dataclass(frozen=True)
class Crawled:
    """What became of a link: its page, or why there is none.

    `url` is where it was found in the end, `cut` says that the page was longer than what was read of it.
    """

    page: Page | None = None
    url: str | None = None
    status: int | None = None
    cut: bool = False
    fault: str | None = None
    retryable: bool = False


def _no_progress(links: int) -> None:
    """Nobody watches."""


def crawl(
    urls: Sequence[str],
    config: LinksConfig,
    *,
    resolve: Resolve = looked_up,
    progress: Callable[[int], None] = _no_progress,
) -> dict[str, Crawled]:
    """URL → what became of it; URLs that mean the same page are fetched once.

    Args:
        urls: absolute URLs.
        config: limits and manners.
        resolve: looks names up.
        progress: called with the number of links done since the last call.

    Raises:
        UnavailableError: the extra `links` is not installed.
    """
    return asyncio.run(_crawled(urls, config, resolve, progress))


async def _crawled(
    urls: Sequence[str], config: LinksConfig, resolve: Resolve, progress: Callable[[int], None]
) -> dict[str, Crawled]:
    found: dict[str, Crawled] = {}
    pages: dict[str, list[str]] = defaultdict(list)
    for url in dict.fromkeys(urls):
        # Before URLs are compared: what two programs read differently has no page.
        if reason := refusal(url, longest=LONGEST_URL, allowed=config.networks):
            found[url] = Crawled(fault=reason)
        else:
            pages[page_of(url)].append(url)
    progress(len(found))
    hosts: dict[str, list[str]] = defaultdict(list)
    for page in pages:
        hosts[urlsplit(page).netloc].append(page)
    free = asyncio.Semaphore(config.parallel)
    async with Fetcher(config, resolve) as fetcher:
        robots = RobotsRules(fetcher, config.user_agent) if config.robots == "respect" else None

        async def one_host(links: Sequence[str]) -> None:
            async with free:
                for number, page in enumerate(links):
                    if number and robots is not None:
                        await asyncio.sleep(await _delay(robots, page, config))
                    result = await _one(page, fetcher, robots, config)
                    found.update(dict.fromkeys(pages[page], result))
                    progress(len(pages[page]))

        try:
            await asyncio.gather(*(one_host(links) for links in hosts.values()))
        finally:
            if robots is not None:
                robots.close()
    return found


async def _delay(robots: RobotsRules, url: str, config: LinksConfig) -> float:
    try:
        async with asyncio.timeout(config.seconds):
            return await robots.delay(url)
    except TimeoutError:
        return 0.0


async def _one(
    url: str, fetcher: Fetcher, robots: RobotsRules | None, config: LinksConfig
) -> Crawled:
    try:
        async with asyncio.timeout(config.seconds):
            if robots is None:
                answer = await fetcher.fetch(url)
            else:
                answer = await fetcher.fetch(url, before=robots.check)
    except TimeoutError:
        return Crawled(fault=f"not done within {config.seconds:g} seconds", retryable=True)
    except CrawlFault as fault:
        return Crawled(fault=str(fault), retryable=not fault.final)
    # Reading megabytes of HTML would hold up the other hosts.
    return await asyncio.to_thread(_read, answer)


def _read(answer: Fetched) -> Crawled:
    kind = answer.media_type
    if not 200 <= answer.status < 300:
        reason, again = (
            f"the server answers with status {answer.status}",
            is_retryable(answer.status),
        )
    elif kind not in HTML | TEXT and (kind or not _looks_like_html(answer.body)):
        reason, again = f"is {kind[:60] or 'something without a media type'}, not a page", False
    else:
        return Crawled(read_page(answer), answer.url, answer.status, cut=answer.cut)
    return Crawled(None, answer.url, answer.status, fault=reason, retryable=again)


def _looks_like_html(body: bytes) -> bool:
    return body[:1024].lstrip().lower().startswith(_SNIFFED)
