"""What differs between the asynchronous and the synchronous client: sending, sleeping, doing several things at once.

Resources are written once, as coroutines. Under `AsyncRuntime` they run on an event loop. Under `SyncRuntime` nothing
that they await ever waits on a loop, so a coroutine runs to its end by being started once (`run_to_end`): no thread, no
loop, the same code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import httpx
import httpx_sse

from aion_dagster.client.bodies import read_whole, read_whole_async

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, T]]


class Runtime(Protocol):
    """How a client waits."""

    def build_request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """A request; no header of the client's own is secret."""
        ...

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send it; with `stream` the body is left unread and the response must be closed.

        Raises:
            InvalidResponseError: the body is larger than what is read whole.
        """
        ...

    async def close_response(self, response: httpx.Response) -> None:
        """Give the connection back."""
        ...

    async def read(self, response: httpx.Response) -> bytes:
        """The whole body of a streamed response that is no file.

        Raises:
            InvalidResponseError: it is larger than what is read whole.
        """
        ...

    def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body of a streamed response, piece by piece."""
        ...

    def events(self, response: httpx.Response) -> AsyncIterator[httpx_sse.ServerSentEvent]:
        """The events of a streamed response."""
        ...

    def stream_of(self, pieces: Iterable[bytes]) -> Any:
        """A request's body that is sent piece by piece."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something that blocks for a moment (a database, a disk)."""
        ...

    async def several(self, jobs: Iterable[Job[T]], at_once: int) -> list[T]:
        """Do jobs, so many at once; results in the order of the jobs; the first error cancels those not begun."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class AsyncRuntime:
    """On an event loop, with `httpx.AsyncClient`."""

    def __init__(self, **options: Any) -> None:
        """`options` as for `httpx.AsyncClient`."""
        self._client = httpx.AsyncClient(**options)

    def build_request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """A request."""
        return self._client.build_request(method, url, **parts)

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send it."""
        response = await self._client.send(request, stream=True)
        if not stream:
            await read_whole_async(response)
        return response

    async def close_response(self, response: httpx.Response) -> None:
        """Give the connection back."""
        await response.aclose()

    async def read(self, response: httpx.Response) -> bytes:
        """The whole body."""
        return await read_whole_async(response)

    def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        return response.aiter_bytes(1 << 16)

    def events(self, response: httpx.Response) -> AsyncIterator[httpx_sse.ServerSentEvent]:
        """The events."""
        return httpx_sse.EventSource(response).aiter_sse()

    async def stream_of(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        """A request's body that is sent piece by piece."""
        for piece in pieces:
            yield piece

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        """In a thread."""
        return await asyncio.to_thread(work)

    async def several(self, jobs: Iterable[Job[T]], at_once: int) -> list[T]:
        """As tasks of one group."""
        gate = asyncio.Semaphore(at_once)

        async def one(job: Job[T]) -> T:
            async with gate:
                return await job()

        tasks: list[asyncio.Task[T]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks += [group.create_task(one(job)) for job in jobs]
        except* Exception as errors:  # noqa: BLE001 - raised on as the single error that it began with
            raise _first(errors) from None
        return [task.result() for task in tasks]

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


class SyncRuntime:
    """Without a loop, with `httpx.Client`: every method does its work before it returns."""

    def __init__(self, **options: Any) -> None:
        """`options` as for `httpx.Client`."""
        self._client = httpx.Client(**options)

    def build_request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """A request."""
        return self._client.build_request(method, url, **parts)

    async def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """Send it."""
        response = self._client.send(request, stream=True)
        if not stream:
            read_whole(response)
        return response

    async def close_response(self, response: httpx.Response) -> None:
        """Give the connection back."""
        response.close()

    async def read(self, response: httpx.Response) -> bytes:
        """The whole body."""
        return read_whole(response)

    async def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        for chunk in response.iter_bytes(1 << 16):
            yield chunk

    async def events(self, response: httpx.Response) -> AsyncIterator[httpx_sse.ServerSentEvent]:
        """The events."""
        for event in httpx_sse.EventSource(response).iter_sse():
            yield event

    def stream_of(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """A request's body that is sent piece by piece."""
        return pieces

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        """Here."""
        return work()

    async def several(self, jobs: Iterable[Job[T]], at_once: int) -> list[T]:
        """In threads; httpx's client may be used from several."""
        listed = list(jobs)
        if at_once <= 1 or len(listed) <= 1:
            return [await job() for job in listed]
        with ThreadPoolExecutor(min(at_once, len(listed)), thread_name_prefix="aionvision") as pool:
            begun = [pool.submit(_run, job) for job in listed]
            try:
                return [future.result() for future in begun]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    async def close(self) -> None:
        """Close all connections."""
        self._client.close()


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing but `SyncRuntime`."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine of the synchronous client waited for an event loop")


def each(items: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous iterator that awaits nothing but `SyncRuntime`."""
    try:
        while True:
            try:
                yield run_to_end(_next(items))
            except StopAsyncIteration:
                return
    finally:
        close: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
        if close is not None:
            run_to_end(_await(close()))


def _run(job: Job[T]) -> T:
    return run_to_end(job())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _await(what: Awaitable[T]) -> T:
    return await what


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
