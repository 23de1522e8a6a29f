"""Connections to the public web only: a name is looked up once, checked, and connected to as what was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import httpcore

from aion_dagster.crawling.addresses import INNER_NETWORK, IPAddress, IPNetwork, may_be_reached
from aion_dagster.crawling.faults import CrawlFault

Resolve = Callable[[str, int], Awaitable[Collection[str]]]
"""(host, port) → the addresses of the host."""


async def looked_up(host: str, port: int) -> list[str]:
    """The addresses that the system has for a host, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to a host by an address that was checked, so that a second look-up cannot lead elsewhere (DNS rebinding).

    TLS is still spoken with the host's name. A host one of whose addresses may not be reached is refused as a whole.
    """

    def __init__(
        self,
        allowed: Collection[IPNetwork] = (),
        ports: Collection[int] = (80, 443),
        resolve: Resolve = looked_up,
    ) -> None:
        """`allowed` networks count as public; other ports are refused; `resolve` looks names up."""
        self._allowed, self._ports, self._resolve = tuple(allowed), frozenset(ports), resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore asks for it.

        Raises:
            CrawlFault: the host or port is refused, or the name leads nowhere.
            httpcore.ConnectError: no address answers.
        """
        if port not in self._ports:
            raise CrawlFault(f"port {port} is not among those that are fetched from", final=True)
        last: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in await self._checked(host.strip("[]").rstrip("."), port):
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks for it."""
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[IPAddress]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise CrawlFault(f"the name {host} cannot be looked up", final=False) from error
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        if not addresses:
            raise CrawlFault(f"the name {host} has no address", final=False)
        if not all(may_be_reached(address, self._allowed) for address in addresses):
            raise CrawlFault(f"{host} {INNER_NETWORK}", final=True)
        return addresses
