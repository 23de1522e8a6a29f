"""Requests and answers: the key, the pace, retries, the circuit breaker, redirects, typed errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx
import httpx_sse
import orjson

from aion_dagster.client.answers import decoded, error_of
from aion_dagster.client.breaker import CircuitBreaker
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from aion_dagster.client.pacing import NoPacer, Pacer
from aion_dagster.client.retrying import Repeat, retrying
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.scrubbing import MASK, scrubbed
from aion_dagster.client.settings import ClientConfig, is_loopback
from aion_dagster.client.tracing import Tracer, tracer

T = TypeVar("T")

NULL: Final = object()
"""In a body: send `null`. None means: leave the field out."""

Part = tuple[str, tuple[str, IO[bytes] | bytes, str]]
"""A file of a multipart form: field, (name, open file or bytes, media type)."""

_MOST_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as often as it takes.

    Args:
        operation: method and path template below the base URL: `"GET /folders/{folder_id}"`.
        ids: what the template's placeholders stand for; quoted.
        query: parameters; None is left out, lists are sent as several unless joined by the caller.
        body: sent as JSON; None is left out, `NULL` sends null.
        form: fields of a form; None is left out.
        parts: opens the files of a multipart form anew for every try.
        repeat: what a repetition can do.
        timeout: seconds; None for the client's.
    """

    operation: str
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    form: Mapping[str, Any] | None = None
    parts: Callable[[], Sequence[Part]] | None = None
    repeat: Repeat = Repeat.SAFE
    timeout: float | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.operation.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path below the base URL, ids quoted.

        Raises:
            ValidationError: an id is empty, or would lead to another path.
        """
        path = self.operation.partition(" ")[2]
        if not self.ids:
            return path
        for name, value in self.ids.items():
            if not isinstance(value, str) or not value or value in (".", ".."):
                raise ValidationError(
                    f"{name}: {value!r} is no identifier", details={"field": name}
                )
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return path


class Transport:
    """Sends calls over a runtime; every request goes through `_try`."""

    def __init__(self, config: ClientConfig, runtime: Runtime, pacer: Pacer | None = None) -> None:
        """`pacer`: who says when a request may go out; by default nobody."""
        self.config = config
        self.runtime = runtime
        self.pacer: Pacer = pacer or NoPacer()
        self.breaker = CircuitBreaker()
        self._tracer: Tracer = tracer(config.enable_tracing)
        self._origin = _origin(config.base_url)
        self._host = urlsplit(config.base_url).hostname or ""
        own = {"Authorization": f"Bearer {config.api_key}", "Accept": "application/json"}
        if config.tenant_id:
            own["X-Tenant-ID"] = config.tenant_id
        # Merged with httpx's own once, not for every request anew: the same goes for the timeouts.
        pattern = runtime.build_request("GET", config.base_url, headers=own, timeout=config.timeout)
        self._headers, self._extensions = pattern.headers, pattern.extensions
        quieten()

    async def json(self, call: Call) -> Any:
        """The JSON of the answer; None where it has no body.

        Raises:
            AionvisionError: of the kind that fits, after the last try.
        """

        async def once() -> Any:
            response = await self._try(call)
            try:
                return decoded(response)
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
        """The bytes that a call leads to, a redirect followed without the key where it leaves the API's host."""
        pieces = [piece async for piece in self.pieces(call)]
        return b"".join(pieces)

    async def pieces(self, call: Call) -> AsyncIterator[bytes]:
        """The same, piece by piece, so that a large file needs no memory; only its beginning is tried again."""

        async def once() -> httpx.Response:
            response = await self._try(call, stream=True, redirected=None)
            return await self._followed(response, call)

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
        """The bytes at a URL that the API gave; never with the key.

        Raises:
            AionvisionError: of the kind that fits, after the last try.
        """
        call = Call("GET (file)")

        async def once() -> bytes:
            response = await self._elsewhere("GET", url)
            return await self._body(response, "GET (file)")

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
            response = await self._elsewhere(method, url, headers=dict(headers), **body)
            await self._body(response, call.operation)
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

        async def attempt() -> T:
            if first:
                raise first.pop()
            return await once()

        loop = retrying(call.repeat, config.max_retries, config.retry_delay, self.runtime.sleep)
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
        request = self._request(call, accept)
        self.breaker.check()
        wait = await self._claim()
        if wait > 0:
            await self.runtime.sleep(wait)
        try:
            response = await self.runtime.send(request, stream=stream)
            if stream and response.status_code >= 400:
                await self.runtime.read(response)
        except httpx.HTTPError as error:
            self.breaker.failed()
            raise self._broken(error, call.operation) from None
        self.pacer.observe(response.status_code, response.headers)
        return await self._judged(response, call, redirected)

    async def _claim(self) -> float:
        return (
            0.0 if isinstance(self.pacer, NoPacer) else await self.runtime.aside(self.pacer.claim)
        )

    async def _judged(
        self, response: httpx.Response, call: Call, redirected: bool | None
    ) -> httpx.Response:
        status = response.status_code
        if status < 300 and redirected is not True:
            self.breaker.succeeded()
            return response
        if response.has_redirect_location and redirected is not False:
            self.breaker.succeeded()
            return response
        if status < 300:
            raise InvalidResponseError(
                f"{call.operation}: no redirect to a file came",
                code="INVALID_RESPONSE",
                status=status,
            )
        if status < 400 and not response.is_closed:
            await self.runtime.close_response(response)
        error = self._cleaned(error_of(response), call.operation)
        if isinstance(error, RateLimitError):
            self.pacer.hold(error.retry_after or 0.0)
        (self.breaker.failed if isinstance(error, ServerError) else self.breaker.succeeded)()
        raise error

    def _request(self, call: Call, accept: str | None) -> httpx.Request:
        headers, extensions = self._headers, self._extensions
        if accept is not None or call.body is not None:
            headers = headers.copy()
        parts: dict[str, Any] = {}
        if accept is not None:
            headers["Accept"] = accept
        if call.query:
            parts["params"] = {k: _plain(v) for k, v in call.query.items() if v is not None}
        if call.body is not None:
            parts["content"] = orjson.dumps(_sent(call.body))
            headers["Content-Type"] = "application/json"
        if call.form is not None:
            parts["data"] = {k: _plain(v) for k, v in call.form.items() if v is not None}
        if call.parts is not None:
            parts["files"] = list(call.parts())
        elif call.form is not None:
            # The API's forms are multipart even where they hold no file.
            parts["files"] = [(k, (None, str(v))) for k, v in parts.pop("data").items()]
        if call.timeout:
            extensions = {"timeout": httpx.Timeout(call.timeout).as_dict()}
        url = self.config.base_url + call.path
        return httpx.Request(call.method, url, headers=headers, extensions=extensions, **parts)

    async def _followed(self, response: httpx.Response, call: Call) -> httpx.Response:
        """Where a redirect leads: with the key on the API's own origin only."""
        for _ in range(_MOST_REDIRECTS):
            if not response.has_redirect_location:
                return response
            await self.runtime.close_response(response)
            url = urljoin(str(response.request.url), response.headers["location"])
            response = await self._elsewhere("GET", url, stream=True)
        await self.runtime.close_response(response)
        raise AionvisionConnectionError(
            f"{call.operation}: more than {_MOST_REDIRECTS} redirects", code="REDIRECTED"
        )

    async def _elsewhere(
        self, method: str, url: str, *, stream: bool = True, **parts: Any
    ) -> httpx.Response:
        """A request to a URL that an answer gave: without the key, to https only, unless it is the API's own host."""
        target = urlsplit(url)
        allowed = target.scheme == "https" or (
            target.scheme == "http"
            and (
                _origin(url) == self._origin
                or (is_loopback(target.hostname) and is_loopback(self._host))
            )
        )
        if not allowed or not target.hostname:
            raise ValidationError(
                f"the server names a place that is not https: {target.scheme}://{target.hostname}",
                code="UNSAFE_URL",
            )
        request = self.runtime.build_request(method, url, timeout=self.config.timeout, **parts)
        try:
            response = await self.runtime.send(request, stream=stream)
            if response.status_code >= 400:
                await self.runtime.read(response)
        except httpx.HTTPError as error:
            raise self._broken(error, f"{method} {target.hostname}") from None
        if response.status_code >= 400:
            raise self._cleaned(error_of(response), f"{method} {target.hostname}")
        return response

    async def _body(self, response: httpx.Response, operation: str) -> bytes:
        try:
            return await self.runtime.read(response)
        except httpx.HTTPError as error:
            raise self._broken(error, operation) from None

    async def _events(
        self, response: httpx.Response, call: Call
    ) -> AsyncIterator[httpx_sse.ServerSentEvent]:
        try:
            async for event in self.runtime.events(response):
                yield event
        except httpx.HTTPError as error:
            raise self._broken(error, call.operation) from None

    def _broken(self, error: httpx.HTTPError, operation: str) -> AionvisionError:
        """The error of a request that got no (whole) answer."""
        text = f"{operation}: {str(error) or type(error).__name__}".replace(
            self.config.api_key, MASK
        )
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ConnectError):
            return AionvisionConnectionError(text, sent=False, code="CONNECTION_ERROR")
        if isinstance(error, httpx.TimeoutException):
            return AionvisionTimeoutError(text, code="REQUEST_TIMEOUT")
        return AionvisionConnectionError(text, code="CONNECTION_ERROR")

    def _cleaned(self, error: AionvisionError, operation: str) -> AionvisionError:
        """The error with the operation's name, and without the key should the server have sent it back."""
        error.message = f"{operation}: {error.message}"
        return scrubbed(error, self.config.api_key)

    def _stream(self, body: bytes | Iterable[bytes]) -> Any:
        return body if isinstance(body, bytes) else self.runtime.stream_of(body)


def quieten() -> None:
    """Keep the library that packs HTTP/2 headers from writing them, the key among them, into a debugging log."""
    for name in ("hpack", "hpack.hpack", "hpack.table"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that are given; `NULL` as null."""
    return {k: None if v is NULL else v for k, v in body.items() if v is not None}


def _plain(value: Any) -> Any:
    """As query strings and forms want it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.value if hasattr(value, "value") else value
