"""Connections as the server sees them: it breaks them on request, and knows whether its last reply was read."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .books import Entry


class Connection:
    """One TCP connection with a client."""

    _count = 0

    def __init__(self, transport: asyncio.Transport) -> None:
        Connection._count += 1
        self.number = Connection._count
        self.lost = asyncio.Event()
        self.last: Entry | None = None
        self._transport = transport

    def reset(self) -> None:
        """Break it: the client sees a reset, not an end."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:  # it may have gone by itself
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def cut(self) -> None:
        """End it after what has been written, though more was announced."""
        self._transport.close()

    def ended(self, error: Exception | None) -> None:
        """Called when the client has ended it, and once it is gone.

        A process that dies with a reply unread in its socket makes the kernel answer with a reset, one that had
        read it ends the connection orderly, with nothing left to send or to be acknowledged: so the server knows
        which of its replies never arrived.
        """
        unread = error is not None or self._unsent()
        if unread and self.last is not None and self.last.delivered:
            self.last.delivered = False
        self.lost.set()

    def _unsent(self) -> bool:
        """Whether bytes wait here, or in the kernel, for the client to take them."""
        if self._transport.get_write_buffer_size():
            return True
        raw = self._transport.get_extra_info("socket")
        if raw is None or raw.fileno() < 0:
            return False
        waiting = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return bool(struct.unpack("i", waiting)[0])


class WatchedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's HTTP protocol, which puts the connection into the state of each request."""

    def connection_made(self, transport: Any) -> None:
        self.connection = Connection(transport)
        self.app_state = {**self.app_state, "connection": self.connection}
        super().connection_made(transport)

    def eof_received(self) -> None:
        self.connection.ended(None)
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.ended(exc)
        super().connection_lost(exc)
