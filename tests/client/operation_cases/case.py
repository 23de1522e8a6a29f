"""What a case is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .made import Made


@dataclass(frozen=True)
class Given:
    """Arguments of a call."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def given(*args: Any, **kwargs: Any) -> Given:
    return Given(args, kwargs)


def after(made: Any, *args: Any, **kwargs: Any) -> Given:
    """Arguments that do not name what was made for them."""
    return given(*args, **kwargs)


def nothing(made: Made) -> Given:
    return given()


@dataclass(frozen=True)
class Case:
    """A method of the client that calls an operation.

    Args:
        operation: "METHOD /path/{placeholder}"; other operations may be called on the way.
        method: below the client: `folders.get`.
        arguments: makes what the call needs at the server and gives its arguments.
        sides: sides that the server must take for it.
        lacking: operations that the server lacks on these sides, which the client tries first.
        begin: calls the method of either client where that is not done by its name and arguments alone.
    """

    operation: str
    method: str
    arguments: Callable[[Made], Given] = nothing
    sides: Mapping[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    begin: Callable[[Any, Given], Any] | None = None

    def __str__(self) -> str:
        return f"{self.method}-{self.operation.replace(' ', '')}"

    def call(self, client: Any, arguments: Given) -> Any:
        """What the method gives: of the asynchronous client what is to be awaited or iterated."""
        if self.begin is not None:
            return self.begin(client, arguments)
        method = client
        for name in self.method.split("."):
            method = getattr(method, name)
        return method(*arguments.args, **arguments.kwargs)
