"""Which handler answers which operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .exchange import Answer, Asked
from .world import World

Handle = Callable[[World, Asked], Answer]


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler, and what a request needs at least (checked where the specification is missing).

    Args:
        operation: "METHOD /path/{placeholder}".
        handle: answers.
        needs: fields that the body must have.
        asks: parameters that the query must have.
        side: (name, values): the operation is there only where the side has one of these values.
    """

    operation: str
    handle: Handle
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    side: tuple[str, tuple[str, ...]] | None = None


HANDLERS: Final[dict[str, Handler]] = {}


def answers(
    operation: str,
    *,
    needs: str = "",
    asks: str = "",
    side: tuple[str, tuple[str, ...]] | None = None,
) -> Callable[[Handle], Handle]:
    """Register a function as the handler of an operation; names are separated by spaces."""

    def register(handle: Handle) -> Handle:
        if operation in HANDLERS:
            raise ValueError(f"{operation} has two handlers")
        HANDLERS[operation] = Handler(
            operation, handle, tuple(needs.split()), tuple(asks.split()), side
        )
        return handle

    return register
