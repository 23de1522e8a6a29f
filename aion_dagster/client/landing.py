"""Writing what is downloaded: beside its place first, so that nobody sees half of it."""

from __future__ import annotations

import functools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Final

from aion_dagster.client.runtime import Runtime

WRITTEN_AT_ONCE: Final = 1 << 20
"""Bytes that are gathered before a write, which is done aside of an event loop."""


async def landed(runtime: Runtime, coming: AsyncGenerator[bytes, None], path: Path) -> Path:
    """Write what comes into a file and put it at `path`.

    Raises:
        AionvisionError: it does not come, or not whole; what was at `path` stays.
        OSError: the disk does not take it; what was at `path` stays.
    """
    beside = path.with_name(f".aionvision-{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            # Closed at once, also where writing fails: an unread answer would keep its connection.
            async with aclosing(coming) as pieces:
                await _fill(file, pieces, runtime)
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
