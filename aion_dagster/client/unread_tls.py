"""TLS over a connection that keeps what was read of it: what is decrypted stays there just as well."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import httpcore

_AT_ONCE: Final = 2**16

T = TypeVar("T")


class TlsStream(httpcore.AsyncNetworkStream):
    """The client's side of TLS on `raw`, which is read from only when all that came of it has been handed out."""

    def __init__(
        self, raw: httpcore.AsyncNetworkStream, context: ssl.SSLContext, hostname: str | None
    ) -> None:
        """`hostname` is who the other side has to be."""
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)

    async def shake_hands(self, timeout: float | None) -> None:
        """Agree on keys, and look at the other side's certificate.

        Raises:
            httpcore.ConnectTimeout: that takes too long.
            httpcore.ConnectError: it fails.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._carried(self._tls.do_handshake)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no handshake within {timeout:g} s") from error
        except (ssl.SSLError, httpcore.NetworkError) as error:
            raise httpcore.ConnectError(str(error)) from error

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, empty at the end.

        Raises:
            httpcore.ReadTimeout: nothing came in time.
            httpcore.ReadError: the connection is broken, or closed.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._carried(lambda: self._tls.read(max_bytes))
        except TimeoutError as error:
            raise httpcore.ReadTimeout(f"nothing came within {timeout:g} s") from error
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Many servers end a connection without saying so in TLS; HTTP knows how long a reply has to be.
            return b""
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it.

        Raises:
            httpcore.WriteTimeout: it could not be sent in time.
            httpcore.WriteError: the connection is broken, or closed.
        """
        try:
            if buffer:
                self._tls.write(buffer)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error
        await self._raw.write(self._outgoing.read(), timeout)

    async def aclose(self) -> None:
        """Close the connection, without a word of TLS, as HTTP clients do."""
        await self._raw.aclose()

    def get_extra_info(self, info: str) -> Any:
        """As httpcore asks for it."""
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and self._incoming.pending:
            return True
        return self._raw.get_extra_info(info)

    async def _carried(self, step: Callable[[], T]) -> T:
        """The result of a step of TLS, once what it wants from the other side has come."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._raw.write(self._outgoing.read())
                came = await self._raw.read(_AT_ONCE)
                if came:
                    self._incoming.write(came)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                # The other side is told why.
                with suppress(httpcore.NetworkError):
                    await self._raw.write(self._outgoing.read())
                raise
            else:
                # The end of a handshake, or a new key.
                await self._raw.write(self._outgoing.read())
                return result
