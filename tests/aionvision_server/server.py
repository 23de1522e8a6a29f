"""Starts the server: the API, a storage host and a foreign host, each an origin of its own, in one process."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from . import operations
from .admin import Admin
from .application import Application
from .connections import WatchedProtocol
from .specification import PREFIX, Specification
from .storage_host import ForeignHost, StorageHost
from .world import TEST_KEY, World

HOST: Final = "127.0.0.1"


class _Server(uvicorn.Server):
    """One of several in a process: signals are the process's business."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        import contextlib

        return contextlib.nullcontext()


def world_of(specification: Path | None, keys: tuple[str, ...] = (TEST_KEY,)) -> World:
    """A world that answers by the specification, where there is one."""
    operations.register()
    return World(Specification.read(specification) if specification else None, keys)


async def serve(
    world: World, port: int, started: Callable[[World], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set; `started` is told once all hosts listen."""
    sockets = [_listening(port), _listening(0), _listening(0)]
    main, storage, foreign = (f"http://{HOST}:{s.getsockname()[1]}" for s in sockets)
    world.base_url, world.storage_url, world.foreign_url = main + PREFIX, storage, foreign
    applications = [
        Application(world, operations.beside(world) | {"_test": Admin(world)}),
        StorageHost(world),
        ForeignHost(world),
    ]
    servers = [
        _Server(
            uvicorn.Config(
                application,
                http=WatchedProtocol,
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=600,
                timeout_graceful_shutdown=1,
            )
        )
        for application in applications
    ]
    tasks = [
        asyncio.create_task(server.serve(sockets=[sock]))
        for server, sock in zip(servers, sockets, strict=True)
    ]
    while not all(server.started for server in servers):
        await asyncio.sleep(0.005)
    started(world)
    await stop.wait()
    for server in servers:
        server.should_exit = server.force_exit = True
    await asyncio.gather(*tasks)


def _listening(port: int) -> socket.socket:
    # Named, since asyncio switches delays off (TCP_NODELAY) for sockets of this protocol only.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    listening.listen(512)
    return listening
