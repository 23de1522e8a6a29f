"""Connections whose bytes are looked at, handed out, and taken off the socket only afterwards."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import httpcore

from aion_dagster.client.unread_tls import TlsStream

POSSIBLE: Final = hasattr(select, "POLLRDHUP")
"""Whether this system tells the end of a connection apart from bytes that wait on it (Linux does)."""

_NEXT_ADDRESS: Final = 0.25
"""Seconds after which the next address of a host is tried beside the one before (RFC 8305, section 8)."""


class UnreadStream(httpcore.AsyncNetworkStream):
    """A TCP connection; what `read` hands out stays in the kernel until somebody says that it is dealt with.

    A peer can tell the two apart when this process is killed: the kernel answers bytes that nobody took with a reset,
    and an empty socket with an orderly end. Bytes are taken off by the function that `get_extra_info("taker")` gives
    (all that was handed out so far), and in any case by the next `read` and by an orderly close.
    """

    def __init__(self, connected: socket.socket) -> None:
        """A socket that does not block; it belongs to the stream from now on."""
        self._socket = connected
        self._handed_out = 0
        self._taken = 0
        self._waiting: asyncio.Future[None] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, empty at the end of the connection; those of the reads before are taken off first.

        Raises:
            httpcore.ReadTimeout: nothing came in time.
            httpcore.ReadError: the connection is broken, or closed.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                # First: as long as they lie there, the socket is readable, whatever else comes.
                self._take(self._handed_out)
                found = self._socket.recv(max_bytes, socket.MSG_PEEK)
            except BlockingIOError:
                if not await self._wait(loop.add_reader, loop.remove_reader, timeout):
                    raise httpcore.ReadTimeout(f"nothing came within {timeout:g} s") from None
            except OSError as error:
                raise httpcore.ReadError(str(error)) from error
            else:
                self._handed_out += len(found)
                return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it; `timeout` is the longest time in which nothing of it gets away.

        Raises:
            httpcore.WriteTimeout: nothing could be sent for so long.
            httpcore.WriteError: the connection is broken, or closed.
        """
        loop = asyncio.get_running_loop()
        left = memoryview(buffer)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                if not await self._wait(loop.add_writer, loop.remove_writer, timeout):
                    raise httpcore.WriteTimeout(f"nothing was taken for {timeout:g} s") from None
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close it, orderly where everything that came was handed out.

        HTTP closes a connection in the instant in which the last part of its last reply is handed out. So the bytes are
        taken off a turn of the event loop later, when whoever waited for the reply has seen it.
        """
        if self._taken < self._handed_out:
            asyncio.get_running_loop().call_soon(self._close)
        else:
            self._close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS on the connection.

        Raises:
            httpcore.ConnectTimeout: the handshake takes too long.
            httpcore.ConnectError: it fails.
        """
        stream = TlsStream(self, ssl_context, server_hostname)
        try:
            await stream.shake_hands(timeout)
        except BaseException:
            await self.aclose()
            raise
        return stream

    def get_extra_info(self, info: str) -> Any:
        """As httpcore asks for it, and a "taker" (see the class)."""
        if info == "taker":
            return partial(self._take_where_possible, self._handed_out)
        if info == "is_readable":
            return self._has_more()
        if info == "socket":
            return self._socket
        if info == "client_addr":
            return self._socket.getsockname()
        if info == "server_addr":
            return self._socket.getpeername()
        return None

    def _take(self, upto: int) -> None:
        """Take bytes off the socket, up to a position in all that was handed out."""
        while (count := upto - self._taken) > 0:
            taken = len(self._socket.recv(count))
            if not taken:
                raise ConnectionError("the connection ended before what was read of it")
            self._taken += taken

    def _take_where_possible(self, upto: int) -> None:
        with suppress(OSError):  # closed or broken: there is nothing to take any more
            self._take(upto)

    def _has_more(self) -> bool:
        """Whether bytes lie there that were not handed out, or the connection is at its end; takes nothing."""
        if self._socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLRDHUP)
        told = poll.poll(0)
        if not told:
            return False
        known = self._handed_out - self._taken
        if told[0][1] & ~select.POLLIN or not known:
            return True
        try:
            return len(self._socket.recv(known + 1, socket.MSG_PEEK)) > known
        except OSError:
            return True

    async def _wait(
        self,
        add: Callable[..., None],
        remove: Callable[[socket.socket], bool],
        timeout: float | None,
    ) -> bool:
        """Whether the socket got ready in time."""
        self._waiting = asyncio.get_running_loop().create_future()
        add(self._socket, self._wake)
        try:
            async with asyncio.timeout(timeout):
                await self._waiting
        except TimeoutError:
            return False
        finally:
            self._waiting = None
            if self._socket.fileno() >= 0:
                remove(self._socket)
        return True

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _close(self) -> None:
        if self._socket.fileno() < 0:
            return
        if self._waiting is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
        self._take_where_possible(self._handed_out)
        self._socket.close()
        self._wake()


class UnreadNetwork(httpcore.AsyncNetworkBackend):
    """Connects as asyncio does: all addresses of a host, the next one beside one that is slow to answer."""

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
            httpcore.ConnectTimeout: no address answers in time.
            httpcore.ConnectError: none can be connected to.
        """
        try:
            async with asyncio.timeout(timeout):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    _Paused,
                    host.strip("[]"),
                    port,
                    local_addr=(local_address, 0) if local_address else None,
                    happy_eyeballs_delay=_NEXT_ADDRESS,
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        # A transport reads whatever comes. It has not begun to, and goes; the connection itself is kept.
        try:
            number = transport.get_extra_info("socket").fileno()
            connected = socket.socket(fileno=os.dup(number))
        finally:
            transport.close()
        connected.setblocking(False)
        for option in socket_options or ():
            connected.setsockopt(*option)
        return UnreadStream(connected)

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks for it."""
        await asyncio.sleep(seconds)


class _Paused(asyncio.Protocol):
    """Reads nothing from the connection that it is given."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()
