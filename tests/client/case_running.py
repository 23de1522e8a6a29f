"""Runs a case with either client against the test server, and keeps what was answered and what came of it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pydantic
from aionvision_server.fixtures import Server
from operation_cases import Case
from operation_cases.case import Given
from operation_cases.made import Made

from aion_dagster.client import AionVision, SyncAionVision
from aion_dagster.client.resources.chat_session import ChatSessionContext, SyncChatSessionContext

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
NOW: Final = float(int(time.time()))
"""When it is for the server, so that the same requests get the same answers."""

QUICK: Final = {
    "retry_delay": 0.0,
    "polling_interval": 0.001,
    "polling_timeout": 20.0,
    "timeout": 20.0,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a call gave, the answers that it got, and the operations that it called."""

    result: Any
    responses: list[httpx.Response]
    called: list[str]


def run(
    server: Server,
    case: Case,
    folder: Path,
    *,
    sync: bool = True,
    sides: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a case at a server in its first state, on these sides and those that the case needs."""
    server.reset()
    server.clock(at=NOW, speed=0)
    server.side(**{**(sides or {}), **case.sides})
    with blocking(server) as making:
        arguments = case.arguments(Made(server, making, folder))
    before = len(server.log())
    responses: list[httpx.Response] = []
    if sync:
        with blocking(server) as client:
            _record(client, responses.append)
            result = taken(case.call(client, arguments))
    else:
        result = asyncio.run(_awaited(server, case, arguments, responses))
    called = [entry["operation"] for entry in server.log()[before:]]
    return Outcome(result, responses, called)


def blocking(server: Server) -> SyncAionVision:
    return SyncAionVision(api_key=server.key, base_url=server.url, **QUICK)


async def _awaited(
    server: Server, case: Case, arguments: Given, responses: list[httpx.Response]
) -> Any:
    async def keep(response: httpx.Response) -> None:
        responses.append(response)

    async with AionVision(api_key=server.key, base_url=server.url, **QUICK) as client:
        _record(client, keep)
        begun = case.call(client, arguments)
        if isinstance(begun, ChatSessionContext):
            async with begun as session:
                return session.session
        if hasattr(begun, "__aiter__"):
            return [each async for each in begun]
        return await begun


def taken(begun: Any) -> Any:
    if isinstance(begun, SyncChatSessionContext):
        with begun as session:
            return session.session
    return list(begun) if hasattr(begun, "__next__") else begun


def _record(client: AionVision | SyncAionVision, keep: Any) -> None:
    """Have every answer kept as it came."""
    client.transport.runtime._client.event_hooks = {"response": [keep]}  # type: ignore[union-attr]


def plain(value: Any) -> Any:
    """A result as plain data, to compare it with another; what no field knows is left out."""
    if isinstance(value, pydantic.BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, pydantic.SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Path):
        return value.read_bytes()
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value.removesuffix(
            "Z"
        )  # in dictionaries, and where the API promises no more than a text
    return value


def without(value: Any, names: frozenset[str]) -> Any:
    """Plain data without the entries of these names, at any depth."""
    if isinstance(value, Mapping):
        return {key: without(each, names) for key, each in value.items() if key not in names}
    if isinstance(value, list):
        return [without(each, names) for each in value]
    return value


def unknown(value: Any, at: str = "") -> Iterator[str]:
    """Fields that came and that no model knows."""
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{at}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from unknown(item, f"{at}[]")
