"""Writing what is downloaded: beside its place first, so that nobody sees half of it."""

from __future__ import annotations

import functools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Final, cast

from aion_dagster.client.calls import Call
from aion_dagster.client.runtime import Runtime
from aion_dagster.client.transport import Transport

WRITTEN_AT_ONCE: Final = 1 << 20
"""Bytes that are gathered before a write, which is done aside of an event loop."""


async def landed(transport: Transport, call: Call, path: Path) -> Path:
    """Write what a call leads to into a file and put it at `path`.

    Raises:
        AionvisionError: it does not come, or not whole; what was at `path` stays.
        OSError: the disk does not take it; what was at `path` stays.
    """
    beside = path.with_name(f".aionvision-{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            # Closed at once, also where writing fails: an unread answer would keep its connection.
            async with aclosing(
                cast("AsyncGenerator[bytes, None]", transport.pieces(call))
            ) as pieces:
                await _fill(file, pieces, transport.runtime)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


async def _fill(file: IO[bytes], pieces: AsyncIterator[bytes], runtime: Runtime) -> None:
    gathered: list[bytes] = []
    size = 0
    async for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= WRITTEN_AT_ONCE:
            await runtime.aside(functools.partial(file.writelines, gathered))
            gathered, size = [], 0
    await runtime.aside(functools.partial(file.writelines, gathered))
