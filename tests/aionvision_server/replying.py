"""Sends replies: whole, slowly, in part, late, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from .answering import Reply
from .books import Entry
from .connections import Connection
from .holds import Held
from .world import World

_PIECES: Final = 20


async def send_reply(
    world: World, connection: Connection, entry: Entry, reply: Reply, send: Any
) -> None:
    """Send a reply as its fault wants it, and note whether it went out."""
    entry.status = reply.status
    kind = reply.fault.kind if reply.fault else ""
    options = reply.fault.options if reply.fault else {}
    if kind in ("reset_before", "reset_after"):
        await _break(connection, entry)
        return
    if kind == "redirect":
        reply.status = int(options.get("status", 307))
        reply.headers["location"] = world.foreign_url + entry.path
        reply.content = b""
    if kind in ("hold", "hold_before"):
        outcome = await _hold(world, connection, Held(entry, kind == "hold", reply.subjects))
        if outcome == "reset":
            await _break(connection, entry)
            return
    if kind == "delay":
        await _wait(connection, float(options.get("seconds", 1)))
    if connection.lost.is_set():
        entry.delivered = False
        return
    await _send(connection, reply, send, float(options.get("seconds", 1)) if kind == "slow" else 0)
    entry.answered = time.time()
    entry.delivered = not connection.lost.is_set()


async def _break(connection: Connection, entry: Entry) -> None:
    entry.delivered = False
    connection.reset()
    await connection.lost.wait()


async def _hold(world: World, connection: Connection, held: Held) -> str:
    """Wait for the release, or for the end of the connection."""
    holds = world.holds
    holds.add(held)
    waits = [
        asyncio.ensure_future(held.released.wait()),
        asyncio.ensure_future(connection.lost.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        holds.remove(held)
    return held.outcome


async def _wait(connection: Connection, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await connection.lost.wait()
    except TimeoutError:
        return


async def _send(connection: Connection, reply: Reply, send: Any, slowly: float) -> None:
    headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in reply.headers.items()]
    if reply.events is None and reply.status != 204:
        length = len(reply.content) if reply.announced is None else reply.announced
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.events is not None:
        async for piece in reply.events:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif reply.announced is not None:
        await send({"type": "http.response.body", "body": reply.content, "more_body": True})
        connection.cut()
        await connection.lost.wait()
    elif slowly:
        size = max(len(reply.content) // _PIECES, 1)
        for start in range(0, len(reply.content), size):
            piece = reply.content[start : start + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await _wait(connection, slowly / _PIECES)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": reply.content})
