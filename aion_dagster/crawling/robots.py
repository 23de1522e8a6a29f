"""What a site's robots.txt allows, as RFC 9309 has it read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aion_dagster.crawling.faults import CrawlFault
from aion_dagster.crawling.fetching import Fetcher
from aion_dagster.errors import UnavailableError

if TYPE_CHECKING:
    from protego import Protego

_MAX_BYTES: Final = 512 * 1024
"""RFC 9309, 2.5: crawlers read at least 500 KiB."""

_LONGEST_DELAY: Final = 10.0
"""Seconds between two pages of a host that are waited at most, whatever it asks for."""


class RobotsRules:
    """The rules of every site that was asked, each asked once."""

    def __init__(self, fetcher: Fetcher, user_agent: str) -> None:
        """`user_agent` is whom the rules are looked up for."""
        self._fetcher, self._agent = fetcher, user_agent
        self._sites: dict[str, asyncio.Task[Protego | str | None]] = {}

    async def check(self, url: str) -> None:
        """Whether a page may be fetched.

        Raises:
            CrawlFault: it may not.
        """
        rules = await self._rules(url)
        if rules is None:
            return
        if isinstance(rules, str):
            raise CrawlFault(
                f"the site's robots.txt cannot be read ({rules}), so nothing is taken", final=False
            )
        if not rules.can_fetch(url, self._agent):
            raise CrawlFault("the site's robots.txt disallows it", final=True)

    async def delay(self, url: str) -> float:
        """Seconds to leave between two pages of a host."""
        rules = await self._rules(url)
        if rules is None or isinstance(rules, str):
            return 0.0
        return min(float(rules.crawl_delay(self._agent) or 0.0), _LONGEST_DELAY)

    async def _rules(self, url: str) -> Protego | str | None:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._sites:
            self._sites[site] = asyncio.ensure_future(self._asked(f"{site}/robots.txt"))
        # One page that runs out of time must not take the answer from the others.
        return await asyncio.shield(self._sites[site])

    async def _asked(self, url: str) -> Protego | str | None:
        """The rules; None where everything is allowed, and why they cannot be had where nothing is."""
        try:
            from protego import Protego
        except ImportError as error:
            raise UnavailableError(
                "Crawling links needs the extra 'links': pip install 'aion_dagster[links]'"
            ) from error
        try:
            answer = await self._fetcher.fetch(url, max_bytes=_MAX_BYTES)
        except CrawlFault as fault:
            return None if fault.final else str(fault)
        if 200 <= answer.status < 300:
            return Protego.parse(answer.body.decode("utf-8", "replace"))
        # RFC 9309, 2.3.1.3 and 2.3.1.4: no rules where there is no file, nothing is allowed while the server is ill.
        return f"HTTP {answer.status}" if answer.status >= 500 or answer.status == 429 else None

    def close(self) -> None:
        """Drop what is still being asked."""
        for task in self._sites.values():
            task.cancel()
