"""Bodies of answers that are read whole: what the API says in JSON, or a server of an error. None may fill the memory."""

from __future__ import annotations

from typing import Final

import httpx

from aion_dagster.client.errors import InvalidResponseError

MOST_BYTES: Final = 256 * 2**20
"""Of one body, unpacked. The longest answers of the API, lists that have no pages, come to some MiB; whatever sends hundreds
of them has gone astray. Files are not read this way."""

TOO_LARGE: Final = "RESPONSE_TOO_LARGE"
"""Code of the error of a body that is larger."""


def read_whole(response: httpx.Response, most: int = MOST_BYTES) -> bytes:
    """The body of a streamed answer, which has it as `content` from then on; the connection is given back.

    Raises:
        InvalidResponseError: it has more bytes than `most`; no more than one piece beyond them was read.
        httpx.HTTPError: it did not come to its end.
    """
    try:
        room = _room(response, most)
        pieces = []
        for piece in response.iter_bytes():
            room = _less(room, piece, response, most)
            pieces.append(piece)
    except BaseException:
        response.close()
        raise
    return _kept(response, pieces)


async def read_whole_async(response: httpx.Response, most: int = MOST_BYTES) -> bytes:
    """As `read_whole`, on an event loop."""
    try:
        room = _room(response, most)
        pieces = []
        async for piece in response.aiter_bytes():
            room = _less(room, piece, response, most)
            pieces.append(piece)
    except BaseException:
        await response.aclose()
        raise
    return _kept(response, pieces)


def _room(response: httpx.Response, most: int) -> int:
    """How much may come; an answer that says beforehand that it is longer is not begun with."""
    promised = response.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > most:
        raise _too_large(response, most)
    return most


def _less(room: int, piece: bytes, response: httpx.Response, most: int) -> int:
    if len(piece) > room:
        raise _too_large(response, most)
    return room - len(piece)


def _kept(response: httpx.Response, pieces: list[bytes]) -> bytes:
    # What `Response.read` does, which counts nothing.
    response._content = b"".join(pieces)
    return response._content


def _too_large(response: httpx.Response, most: int) -> InvalidResponseError:
    return InvalidResponseError(
        f"the answer has more than {most:,} bytes; it was not read",
        code=TOO_LARGE,
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
    )
