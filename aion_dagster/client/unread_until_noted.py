"""Replies that cost money are taken off the connection only once they are noted.

A process can be killed at any moment, also between reading a reply and writing it down. Then it was paid for, the server
believes that it was delivered, and nobody has it. A message queue knows the remedy: what was dealt with is acknowledged,
not what was handed out. TCP can be used like that: bytes are looked at (MSG_PEEK) and stay in the kernel's buffer until
their reader says that they are noted. A process that dies before leaves them unread, and the kernel tells the server so,
with a reset.

What this does not cover: replies whose length is told by nothing but the end of the connection (HTTP/1.0) are taken off
when that end is looked for; servers of today announce lengths, or send parts. Through a proxy only the proxy would learn
of it, so clients that go through one need no such transport. Other systems than Linux get an ordinary connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpcore
import httpx

from aion_dagster.client.unread_stream import POSSIBLE, UnreadNetwork

_IDLE_SECONDS: Final = 5.0
"""How long a connection without a request is kept, as httpx does by default."""


def taking_off(response: httpx.Response) -> Callable[[], None]:
    """What to call when a reply that was read to its end is noted; does nothing for one of another transport."""
    stream = response.extensions.get("network_stream")
    taker = None if stream is None else stream.get_extra_info("taker")
    return taker or _nothing


class UnreadUntilNoted(httpx.AsyncBaseTransport):
    """HTTP/1.1 over connections whose replies stay unread until `taking_off` is called, or the next one is read."""

    def __init__(self, context: ssl.SSLContext, *, connections: int) -> None:
        """At most so many connections at once, with the certificates of `context`."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=UnreadNetwork() if POSSIBLE else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx asks for it."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _errors_of_httpx():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _errors_of_httpx():
            await self._response.aclose()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """httpx has an error of the same name for each of httpcore's."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def _nothing() -> None:
    """Nothing is to be taken off."""
