"""Methods of the synchronous client, made from those of the asynchronous one with their signatures."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from aion_dagster.client.runtime import each, run_to_end

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class SyncResource(Generic[R]):
    """A resource whose coroutines run to their end when called; `asynchronous` is the resource behind it."""

    def __init__(self, asynchronous: R) -> None:
        """Wrap a resource that runs on a `SyncRuntime`."""
        self._asynchronous = asynchronous


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The method, run to its end."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_to_end(method(self._asynchronous, *args, **kwargs))

    _name(call, method)
    return call


def iterating(
    method: Callable[Concatenate[Any, P], AsyncIterator[T]],
) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """The method, as an iterator."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return each(method(self._asynchronous, *args, **kwargs))

    _name(call, method)
    signature = inspect.signature(method)
    gives = str(signature.return_annotation).removeprefix("Async")
    call.__signature__ = signature.replace(return_annotation=gives)  # type: ignore[attr-defined]  # what `inspect` looks at
    return call


def _name(call: Any, method: Any) -> None:
    """Name, words and signature of the method; not what tells coroutine functions apart."""
    functools.update_wrapper(call, method)
    call.__signature__ = inspect.signature(method)
    del call.__wrapped__
