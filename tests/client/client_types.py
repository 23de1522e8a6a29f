"""The client's classes by name, the types of their members, and whether one type will do where another is promised."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import pydantic

import aion_dagster.client.models
import aion_dagster.client.resources
from aion_dagster.client import AionVision, SyncAionVision, errors

_ROOMS: Final = (aion_dagster.client.models, aion_dagster.client.resources)
_BUILTIN: Final = {
    "Any": Any,
    "datetime": datetime,
    "AsyncIterator": typing.AsyncIterator,
    "None": None,
}


@cache
def classes() -> Mapping[str, tuple[type, ...]]:
    """Every class that the client defines; two modules may use the same name."""
    found: dict[str, list[type]] = {}
    for room in _ROOMS:
        for info in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            for name, value in vars(importlib.import_module(info.name)).items():
                if isinstance(value, type) and value.__module__ == info.name:
                    found.setdefault(name, []).append(value)
    for name, value in vars(errors).items():
        if isinstance(value, type):
            found.setdefault(name, []).append(value)
    return {name: tuple(several) for name, several in found.items()}


def type_named(text: str) -> Any:
    """A type as the documents write it; where two classes have the name, either will do."""
    known = {name: typing.Union[several] for name, several in classes().items()}  # noqa: UP007 - of a tuple
    return eval(text, {}, {**known, **_BUILTIN})


@cache
def resource(owner: str, *, sync: bool = False) -> type:
    """The class behind `client.uploads`, `ChatSessionContext` or `Pipeline`."""
    if owner.startswith("client."):
        client = (SyncAionVision if sync else AionVision)("aion_" + "k" * 20)
        return type(getattr(client, owner.removeprefix("client.")))
    (found,) = classes()[f"Sync{owner}" if sync else owner]
    return found


def member_types(owner: type, name: str) -> Any:
    """The type of a field or property, or what a method returns.

    Raises:
        LookupError: there is no such member.
    """
    if issubclass(owner, pydantic.BaseModel) and name in owner.model_fields:
        return owner.model_fields[name].annotation
    if dataclasses.is_dataclass(owner) and name in {f.name for f in dataclasses.fields(owner)}:
        return typing.get_type_hints(owner)[name]
    member = inspect.getattr_static(owner, name, None)
    if isinstance(member, property) and member.fget is not None:
        return _returned(member.fget)
    if inspect.isfunction(member):
        return _returned(member)
    raise LookupError(f"{owner.__name__} has no {name}")


def returned(method: Callable[..., Any]) -> Any:
    """What a method gives: of a coroutine what it ends with."""
    return _returned(method)


def _returned(function: Callable[..., Any]) -> Any:
    return typing.get_type_hints(function)["return"]


def fits(actual: Any, wanted: Any, owner: type | None = None) -> bool:
    """Whether a value of type `actual` is one of type `wanted` (an int is a float, a list of few a list of many)."""
    actual, wanted = _plain(actual, owner), _plain(wanted, owner)
    if wanted is Any or actual == wanted:
        return True
    if _is_union(actual):
        return all(fits(each, wanted, owner) for each in typing.get_args(actual))
    if _is_union(wanted):
        return any(fits(actual, each, owner) for each in typing.get_args(wanted))
    whole, whole_wanted = typing.get_origin(actual) or actual, typing.get_origin(wanted) or wanted
    if whole is int and whole_wanted is float:
        return True
    if not (isinstance(whole, type) and isinstance(whole_wanted, type)):
        return False
    if not issubclass(whole, whole_wanted):
        return False
    return all(
        fits(each, each_wanted, owner)
        for each, each_wanted in zip(_arguments(actual), _arguments(wanted), strict=False)
    )


def _arguments(kind: Any) -> Iterator[Any]:
    return (each for each in typing.get_args(kind) if each is not ...)


def _plain(kind: Any, owner: type | None) -> Any:
    if kind is typing.Self:
        return owner
    if kind is None:
        return type(None)
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    return kind


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)
