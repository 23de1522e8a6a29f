"""Beginning journalled calls of the platform, and what they are grouped and put into rows by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from aion_dagster.backends.aionvision_errors import is_used_up
from aion_dagster.backends.calls import Begun, CallJournal, CallKey, Standing
from aion_dagster.backends.protocol import Original
from aion_dagster.client import errors as api

T = TypeVar("T")

CHUNK_BYTES: Final = 64 * 2**20
"""Bytes of the files that are opened together, at most, unless a single one has more."""

_LOOK_AGAIN: Final = 0.5


async def begun_calls(
    calls: CallJournal,
    keys: Sequence[CallKey],
    *,
    timeout: float,
    lookup: bool = False,
    free: bool = False,
) -> dict[CallKey, Begun]:
    """Begin calls (see `CallJournal.begin`), and wait while another process is at some; how each stands then.

    Those that it is still at after `timeout` seconds stand as BUSY.
    """
    begun: dict[CallKey, Begun] = {}
    end = asyncio.get_running_loop().time() + timeout
    left = list(keys)
    while left:
        found = await asyncio.to_thread(calls.begin, left, lookup=lookup, free=free)
        begun |= {one.key: one for one in found}
        left = [one.key for one in found if one.standing is Standing.BUSY]
        if asyncio.get_running_loop().time() > end:
            break
        if left:
            await asyncio.sleep(_LOOK_AGAIN)
    return begun


def not_made(begun: Begun) -> tuple[str, str, bool] | None:
    """Kind, reason and whether another time may help, of a call that must not be made; None of any other."""
    if begun.standing is Standing.FAILED:
        return begun.kind or "server", begun.reason or "failed before", False
    if begun.standing is Standing.OVER_BUDGET:
        return "budget", begun.reason or "the budget is spent", True
    if begun.standing is Standing.BUSY:
        return "busy", "another process has been at this for too long", True
    return None


def is_hopeless(error: api.AionvisionError) -> bool:
    """Whether nothing else would go through either: the key is refused."""
    return isinstance(error, api.AuthenticationError | api.AionvisionPermissionError)


def may_have_arrived(error: api.AionvisionError) -> bool:
    """Whether the server may have done what it did not answer to."""
    if isinstance(error, api.AionvisionConnectionError):
        return error.sent
    return isinstance(error, api.AionvisionTimeoutError | api.InvalidResponseError)


def halves_help(error: api.AionvisionError) -> bool:
    """Whether a group may have been refused for one member's sake, or for its size.

    An `UploadError` is of a file that could not be read, or changed, while it was sent.
    """
    kinds = api.ValidationError | api.AionvisionTimeoutError | api.UploadError
    if isinstance(error, kinds):
        return True
    too_much = error.status in (413, 504) or error.code in ("MEMORY_LIMIT_EXCEEDED", "TIMEOUT")
    return too_much and not is_used_up(error)


def grouped(
    originals: Mapping[CallKey, Original], most: int, size: Callable[[Original], int]
) -> list[dict[CallKey, Original]]:
    """Groups of at most `most` files and `CHUNK_BYTES`, in order."""
    groups: list[dict[CallKey, Original]] = []
    weight = 0
    for key, original in originals.items():
        if not groups or len(groups[-1]) >= most or weight + size(original) > CHUNK_BYTES:
            groups.append({})
            weight = 0
        groups[-1][key] = original
        weight += size(original)
    return groups


def in_halves(group: Mapping[CallKey, T]) -> tuple[dict[CallKey, T], dict[CallKey, T]]:
    """A group as two."""
    items = list(group.items())
    middle = len(items) // 2
    return dict(items[:middle]), dict(items[middle:])
