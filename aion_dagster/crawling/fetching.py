"""One resource of the web by GET: redirects, sizes and times are bounded, and every step is checked."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Final
from urllib.parse import urldefrag, urljoin

import httpcore
import httpx

from aion_dagster.crawling.addresses import refusal, shown
from aion_dagster.crawling.faults import CrawlFault
from aion_dagster.crawling.guarded_network import GuardedNetwork, Resolve, looked_up
from aion_dagster.crawling.settings import LONGEST_URL, LinksConfig

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONNECTIONS: Final = 64
_STEP_SECONDS: Final = 15.0
"""Longest silence of a server."""

BeforeHop = Callable[[str], Awaitable[None]]
"""Called with each URL before it is fetched; raises CrawlFault to keep that from happening."""


@dataclass(frozen=True)
class Fetched:
    """What a server answered in the end: `headers` in lower case, `body` decoded, `cut` where it was longer."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool

    @property
    def media_type(self) -> str:
        """As in Content-Type, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """As in Content-Type."""
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip(" \t\"'") or None
        return None


async def _no_check(url: str) -> None:
    """Every hop may be fetched."""


class Fetcher:
    """Fetches from the public web; an asynchronous context manager that closes its connections."""

    def __init__(self, config: LinksConfig, resolve: Resolve = looked_up) -> None:
        """`resolve` looks names up."""
        self._config = config
        self._networks = config.networks
        self._stack = AsyncExitStack()
        # Proxies and other settings of the environment are left aside: through a proxy no address can be checked.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_trusting(),
            max_connections=_CONNECTIONS,
            network_backend=GuardedNetwork(self._networks, config.ports, resolve),
        )

    async def __aenter__(self) -> Fetcher:
        """Open."""
        await self._stack.enter_async_context(self._pool)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        await self._stack.aclose()

    async def fetch(
        self, url: str, *, max_bytes: int | None = None, before: BeforeHop = _no_check
    ) -> Fetched:
        """What a URL leads to, redirects followed; any status but a redirect is an answer.

        Raises:
            CrawlFault: it must not be fetched, or cannot be.
        """
        longest = max_bytes or self._config.max_bytes
        for _ in range(self._config.max_redirects + 1):
            url = urldefrag(url).url
            reason = refusal(url, longest=LONGEST_URL, allowed=self._networks)
            if reason:
                raise CrawlFault(f"{shown(url)[:200]}: {reason}", final=True)
            await before(url)
            answer = await self._one(url, longest)
            if isinstance(answer, Fetched):
                return answer
            url = urljoin(url, answer)
        raise CrawlFault(f"more than {self._config.max_redirects} redirects", final=True)

    async def _one(self, url: str, longest: int) -> Fetched | str:
        """An answer, or where it redirects to."""
        headers = [
            ("User-Agent", self._config.user_agent),
            ("Accept", "text/html,application/xhtml+xml,text/plain;q=0.8,*/*;q=0.1"),
            ("Accept-Encoding", "gzip"),
        ]
        step = min(_STEP_SECONDS, self._config.seconds)
        timeout = {"connect": step, "read": step, "write": step, "pool": self._config.seconds}
        try:
            parsed = httpx.URL(url)
            target = httpcore.URL(
                scheme=parsed.raw_scheme,
                host=parsed.raw_host,
                port=parsed.port,
                target=parsed.raw_path,
            )
            async with self._pool.stream(
                "GET", target, headers=headers, extensions={"timeout": timeout}
            ) as response:
                found = {
                    k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers
                }
                if response.status in _REDIRECTS and found.get("location"):
                    return found["location"].encode("latin-1").decode("utf-8", "replace")
                body, cut = await _read(response, found.get("content-encoding", ""), longest)
                return Fetched(url, response.status, found, body, cut)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise CrawlFault(f"{shown(url)[:200]} cannot be read: {error}", final=True) from error
        except httpcore.TimeoutException as error:
            raise CrawlFault("the server does not answer in time", final=False) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            why = str(error) or type(error).__name__
            final = isinstance(error.__cause__, ssl.SSLCertVerificationError)
            raise CrawlFault(f"the server cannot be reached: {why[:200]}", final=final) from error


def is_retryable(status: int) -> bool:
    """Whether another time may bring a better answer."""
    return status in _RETRYABLE


@lru_cache(maxsize=1)
def _trusting() -> ssl.SSLContext:
    """Reading the certificates takes longer than fetching a page."""
    return httpx.create_ssl_context()


async def _read(response: httpcore.Response, coding: str, longest: int) -> tuple[bytes, bool]:
    """At most `longest` bytes of a body, decoded step by step: a small body may unpack to gigabytes.

    Raises:
        CrawlFault: it is coded in a way that was not asked for, or damaged.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        decode = None
    elif coding in ("gzip", "x-gzip", "deflate"):
        # 32: the header says whether it is gzip or zlib.
        decode = zlib.decompressobj(32 + zlib.MAX_WBITS)
    else:
        raise CrawlFault(
            f"the body is coded as {coding[:40]!r}, which was not asked for", final=True
        )
    parts: list[bytes] = []
    left = longest
    async for chunk in response.aiter_stream():
        try:
            part = chunk[: left + 1] if decode is None else decode.decompress(chunk, left + 1)
        except zlib.error as error:
            raise CrawlFault(f"the body is damaged: {error}", final=False) from error
        if len(part) > left:
            return b"".join([*parts, part[:left]]), True
        parts.append(part)
        left -= len(part)
    return b"".join(parts), False
