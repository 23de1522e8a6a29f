"""Requests and answers: the key, the pace, retries, the circuit breaker, redirects, typed errors."""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import httpx_sse

from aion_dagster.client.answers import decoded
from aion_dagster.client.breaker import CircuitBreaker
from aion_dagster.client.calls import Call, Part
from aion_dagster.client.errors import (
    AionvisionError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from aion_dagster.client.failures import broken, refused
from aion_dagster.client.pacing import NoPacer, Pacer
from aion_dagster.client.places import Places
from aion_dagster.client.requests import Requests
from aion_dagster.client.retrying import may_repeat, retrying
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.settings import ClientConfig
from aion_dagster.client.tracing import Tracer, tracer

T = TypeVar("T")


class Transport:
    """Sends calls over a runtime; every request goes through `_try`."""

    def __init__(self, config: ClientConfig, runtime: Runtime, pacer: Pacer | None = None) -> None:
        """`pacer`: who says when a request may go out; by default nobody."""
        self.config = config
        self.runtime = runtime
        self.pacer: Pacer = pacer or NoPacer()
        self.breaker = CircuitBreaker()
        self._tracer: Tracer = tracer(config.enable_tracing)
        self._host = urlsplit(config.base_url).hostname or ""
        self._requests = Requests(config, runtime)
        self._places = Places(config, runtime, self._requests.headers)
        quieten()

    async def json(self, call: Call) -> Any:
        """The JSON of the answer; None where it has no body.

        Raises:
            AionvisionError: of the kind that fits, after the last try.
        """

        async def once() -> Any:
            response = await self._try(call)
            try:
                return decoded(response, self.config.api_key)
            except InvalidResponseError:
                self.breaker.failed()
                raise

        return await self._repeated(call, once)

    async def location(self, call: Call) -> str:
        """Where a call redirects to: the URL of a file, which needs no key.

        Raises:
            InvalidResponseError: the server did not redirect.
        """

        async def once() -> str:
            response = await self._try(call, redirected=True)
            return str(urljoin(str(response.request.url), response.headers["location"]))

        return await self._repeated(call, once)

    async def content(self, call: Call) -> bytes:
        """The bytes that a call leads to, redirects followed, without the key where they leave the API."""
        pieces = [piece async for piece in self.pieces(call)]
        return b"".join(pieces)

    def pieces(self, call: Call) -> AsyncGenerator[bytes, None]:
        """The same, piece by piece, so that a large file needs no memory; only its beginning is tried again."""

        async def once() -> httpx.Response:
            response = await self._try(call, stream=True, redirected=None)
            return await self._places.followed(response)

        return self._pieces(call, once)

    def pieces_at(self, url: str) -> AsyncGenerator[bytes, None]:
        """The bytes at a URL that the API gave, likewise; without the key, unless the API itself serves them."""
        return self._pieces(Call("GET (file)"), lambda: self._places.read(url))

    async def _pieces(
        self, call: Call, once: Callable[[], Awaitable[httpx.Response]]
    ) -> AsyncGenerator[bytes, None]:
        response = await self._repeated(call, once)
        try:
            async for piece in self.runtime.chunks(response):
                yield piece
        except httpx.HTTPError as error:
            raise self._broken(error, call.operation) from None
        finally:
            await self.runtime.close_response(response)

    @asynccontextmanager
    async def events(self, call: Call) -> AsyncIterator[AsyncIterator[httpx_sse.ServerSentEvent]]:
        """The events of a call's answer; the connection is given back at the end.

        Raises:
            AionvisionError: the stream does not begin, or breaks off.
        """

        async def once() -> httpx.Response:
            return await self._try(call, stream=True, accept="text/event-stream")

        response = await self._repeated(call, once)
        try:
            yield self._events(response, call)
        finally:
            await self.runtime.close_response(response)

    async def fetch(self, url: str) -> bytes:
        """The bytes at a URL that the API gave; without the key, unless the API itself serves them.

        Raises:
            AionvisionError: of the kind that fits, after the last try.
        """
        call = Call("GET (file)")

        async def once() -> bytes:
            response = await self._places.read(url)
            try:
                return b"".join([piece async for piece in self.runtime.chunks(response)])
            except httpx.HTTPError as error:
                raise self._broken(error, call.operation) from None
            finally:
                await self.runtime.close_response(response)

        return await self._repeated(call, once)

    async def put(
        self,
        url: str,
        open_body: Callable[[], bytes | Iterable[bytes]],
        headers: Mapping[str, str],
        *,
        method: str = "PUT",
        parts: Callable[[], Sequence[Part]] | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Mapping[str, str]:
        """Send a file to a URL that the API gave (presigned storage); never with the key.

        Args:
            url: where to.
            open_body: opens the bytes anew for every try; unused where there are `parts`.
            headers: as the API asks for.
            method: PUT, or POST for a form.
            parts: files of a form.
            form: fields of a form.

        Returns:
            The answer's headers (`etag` among them).
        """
        call = Call(f"{method} (storage)")

        async def once() -> Mapping[str, str]:
            body: dict[str, Any] = (
                {"files": list(parts()), "data": dict(form or {})}
                if parts
                else {"content": self._stream(open_body())}
            )
            response = await self._places.write(method, url, headers=dict(headers), **body)
            return response.headers

        return await self._repeated(call, once)

    async def close(self) -> None:
        """Close all connections."""
        await self.runtime.close()

    async def _repeated(self, call: Call, once: Callable[[], Awaitable[T]]) -> T:
        with self._tracer.span(call.operation, self._host):
            try:
                return await once()
            except AionvisionError as error:
                return await self._again(call, once, error)

    async def _again(
        self, call: Call, once: Callable[[], Awaitable[T]], error: AionvisionError
    ) -> T:
        """The tries after the first, which stands as the first of the loop."""
        config = self.config
        first: list[AionvisionError] = [error]
        begun = error.begun

        async def attempt() -> T:
            nonlocal begun
            if first:
                raise first.pop()
            try:
                return await once()
            except AionvisionError as later:
                # What an earlier try may have set in motion is not undone by a later one's refusal.
                later.begun = begun = later.begun or begun
                raise

        loop = retrying(
            lambda error: may_repeat(error, call.repeat) and not _is_own(error, call),
            config.max_retries,
            config.retry_delay,
            self.runtime.sleep,
        )
        return await loop(attempt)

    async def _try(
        self,
        call: Call,
        *,
        stream: bool = False,
        redirected: bool | None = False,
        accept: str | None = None,
    ) -> httpx.Response:
        """One try; `redirected`: False where a redirect is an error, True where one must come, None for either."""
        request = self._requests.of(call, accept)
        self.breaker.check()
        wait = await self._claim()
        if wait > 0:
            await self.runtime.sleep(wait)
        try:
            response = await self.runtime.send(request, stream=stream)
            if stream and not _may_go_on(response, redirected):
                await self.runtime.read(response)
        except httpx.HTTPError as error:
            self.breaker.failed()
            raise self._broken(error, call.operation) from None
        except InvalidResponseError as error:
            self.breaker.failed()
            error.message = f"{call.operation}: {error.message}"
            raise
        self.pacer.observe(response.status_code, response.headers)
        return await self._judged(response, call, redirected)

    async def _claim(self) -> float:
        return (
            0.0 if isinstance(self.pacer, NoPacer) else await self.runtime.aside(self.pacer.claim)
        )

    async def _judged(
        self, response: httpx.Response, call: Call, redirected: bool | None
    ) -> httpx.Response:
        if _may_go_on(response, redirected):
            self.breaker.succeeded()
            return response
        if response.status_code < 300:
            raise InvalidResponseError(
                f"{call.operation}: no redirect to a file came",
                code="INVALID_RESPONSE",
                status=response.status_code,
            )
        error = refused(response, call.operation, self.config.api_key)
        if isinstance(error, RateLimitError) and not _is_own(error, call):
            self.pacer.hold(error.retry_after or 0.0)
        (self.breaker.failed if isinstance(error, ServerError) else self.breaker.succeeded)()
        raise error

    async def _events(
        self, response: httpx.Response, call: Call
    ) -> AsyncIterator[httpx_sse.ServerSentEvent]:
        try:
            async for event in self.runtime.events(response):
                yield event
        except httpx.HTTPError as error:
            raise self._broken(error, call.operation) from None

    def _broken(self, error: httpx.HTTPError, operation: str) -> AionvisionError:
        return broken(error, operation, self.config.api_key)

    def _stream(self, body: bytes | Iterable[bytes]) -> Any:
        return body if isinstance(body, bytes) else self.runtime.stream_of(body)


def _may_go_on(response: httpx.Response, redirected: bool | None) -> bool:
    """Whether an answer is a good one; `redirected` as for a try."""
    if response.has_redirect_location:
        return redirected is not False
    return response.status_code < 300 and redirected is not True


def _is_own(error: BaseException, call: Call) -> bool:
    """Whether a 429 speaks of the thing that was asked for alone; the key's own limit says that nothing remains of it."""
    return call.own_limit and isinstance(error, RateLimitError) and error.remaining != 0


def quieten() -> None:
    """Keep the library that packs HTTP/2 headers from writing them, the key among them, into a debugging log."""
    for name in ("hpack", "hpack.hpack", "hpack.table"):
        logging.getLogger(name).setLevel(logging.WARNING)
