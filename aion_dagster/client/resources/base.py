"""What every resource shares: asking, paging, waiting for an end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

import pydantic

from aion_dagster.client.calls import Call, Part
from aion_dagster.client.errors import AionvisionTimeoutError, InvalidResponseError
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.settings import ClientConfig
from aion_dagster.client.transport import Transport

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Resource:
    """Methods of one part of the API."""

    def __init__(self, transport: Transport) -> None:
        """Ask through `transport`."""
        self._transport = transport

    @property
    def _config(self) -> ClientConfig:
        return self._transport.config

    @property
    def _runtime(self) -> Runtime:
        return self._transport.runtime

    async def _ask(
        self,
        answer: type[T],
        operation: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        parts: Callable[[], Sequence[Part]] | None = None,
        repeat: Repeat = Repeat.SAFE,
        own_limit: bool = False,
        timeout: float | None = None,
    ) -> T:
        """Make a call (see `Call`) and read its answer as `answer`.

        Raises:
            AionvisionError: of the kind that fits.
        """
        call = Call(
            operation,
            ids=ids or {},
            query=query or {},
            body=body,
            form=form,
            parts=parts,
            repeat=repeat,
            own_limit=own_limit,
            timeout=timeout,
        )
        return read_as(answer, await self._transport.json(call), operation)


@lru_cache(maxsize=512)
def _adapter(answer: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(answer)


def read_as(answer: type[T], data: Any, operation: str) -> T:
    """JSON data as a model (or a list of models, a mapping, …).

    Raises:
        InvalidResponseError: it is of wrong types; the message names the fields, not their values.
    """
    try:
        value: T = _adapter(cast("Hashable", answer)).validate_python(data)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'answer'}: {e['msg']}"
            for e in error.errors()[:5]
        )
        raise InvalidResponseError(
            f"{operation}: the answer is not what the API promises: {problems}",
            code="INVALID_RESPONSE",
        ) from None
    return value


class Page(Protocol[T_co]):
    """A page of a list, with `total_count` or without."""

    def __call__(self, offset: int, limit: int) -> Awaitable[Sequence[T_co]]:
        """The items from `offset` on, `limit` at most."""
        ...


async def pages(fetch: Page[T], page_size: int, first: int = 0) -> AsyncIterator[T]:
    """Every item of a list: counts what came and stops at an empty page; a `has_more` is not trusted.

    A server that takes no notice of the offset sends the same page again: that is the end too.
    """
    offset = first
    before: Sequence[T] | None = None
    while (items := await fetch(offset, page_size)) and items != before:
        before = items
        for item in items:
            yield item
        offset += len(items)


async def until(
    look: Callable[[], Awaitable[T]],
    is_over: Callable[[T], bool],
    runtime: Runtime,
    *,
    what: str,
    interval: float,
    timeout: float,
    on_look: Callable[[T], None] | None = None,
) -> T:
    """Look again and again until something is over.

    Raises:
        AionvisionTimeoutError: it is not, after `timeout` seconds; `last_result` is what was seen last.
    """
    end = time.monotonic() + timeout
    while True:
        state = await look()
        if on_look is not None:
            on_look(state)
        if is_over(state):
            return state
        left = end - time.monotonic()
        if left <= 0:
            raise AionvisionTimeoutError(
                f"{what}: not over after {timeout:g} s; it may still end, look again later",
                last_result=state,
                code="POLLING_TIMEOUT",
            )
        await runtime.sleep(min(interval, left))
