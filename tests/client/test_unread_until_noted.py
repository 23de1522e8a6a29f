"""Replies stay unread until they are noted, and otherwise it is a transport like any other."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest
from raw_server import Line, RawServer, Talk, answering, certificate, raw_server, serving

from aion_dagster.client.unread_stream import POSSIBLE
from aion_dagster.client.unread_until_noted import UnreadUntilNoted, taking_off

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not POSSIBLE, reason="this system gets ordinary connections"),
]

Serve = Callable[[Talk], AbstractContextManager[RawServer]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def asking(
    file: Path, *, seconds: float = 20.0, connections: int = 4
) -> AsyncIterator[httpx.AsyncClient]:
    trusting = ssl.create_default_context(cafile=file)
    transport = UnreadUntilNoted(trusting, connections=connections)
    async with httpx.AsyncClient(transport=transport, timeout=seconds) as client:
        yield client


@pytest.fixture(params=["http", "https"])
def serve(request: pytest.FixtureRequest, file: Path) -> Serve:
    @contextmanager
    def started(talk: Talk) -> Iterator[RawServer]:
        context = serving(file) if request.param == "https" else None
        with raw_server(talk, context=context) as server:
            yield server

    return started


HEAD = b"HTTP/1.1 200 OK\r\n"
REPLIES = {
    "at once": [HEAD + b"Content-Length: 10\r\n\r\n0123456789"],
    "in parts": [HEAD, b"Content-Length: 10\r\n\r\n", b"01234", b"56789"],
    "chunked": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"a\r\n0123456789\r\n", b"0\r\n\r\n"],
    "the last": [HEAD + b"Connection: close\r\nContent-Length: 10\r\n\r\n0123456789"],
}


@pytest.mark.parametrize("parts", REPLIES.values(), ids=REPLIES)
async def test_a_reply_arrives_whole_however_it_comes(
    serve: Serve, file: Path, parts: list[bytes]
) -> None:
    def talk(line: Line) -> None:
        while line.request() is not None:
            line.send(*parts)

    with serve(talk) as server:
        async with asking(file) as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"0123456789"


async def test_a_reply_that_ends_with_its_connection_arrives_whole(
    serve: Serve, file: Path
) -> None:
    def talk(line: Line) -> None:
        line.request()
        line.send(HEAD + b"\r\n", b"x" * 100_000)

    with serve(talk) as server:
        async with asking(file) as client:
            assert (await client.get(server.url)).content == b"x" * 100_000


async def test_large_bodies_go_both_ways(serve: Serve, file: Path) -> None:
    body = bytes(range(256)) * 40_000
    came: list[str] = []

    def talk(line: Line) -> None:
        while (sent := line.request()) is not None:
            came.append(hashlib.sha256(sent).hexdigest())
            line.reply(sent)

    with serve(talk) as server:
        async with asking(file) as client:
            answers = await asyncio.gather(
                *(client.post(server.url, content=body) for _ in range(2))
            )
    assert {hashlib.sha256(a.content).hexdigest() for a in answers} == set(came)
    assert len(came) == 2


async def test_a_connection_is_used_again(serve: Serve, file: Path) -> None:
    with serve(answering) as server:
        async with asking(file) as client:
            for _ in range(50):
                assert (await client.post(server.url, content=b"x" * 1000)).text == "good"
        assert server.connections == 1


@pytest.mark.parametrize("noted", [True, False])
async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    serve: Serve, file: Path, noted: bool
) -> None:
    closed = threading.Event()

    def talk(line: Line) -> None:
        line.request()
        line.reply()
        line.close()
        closed.set()

    with serve(talk) as server:
        async with asking(file) as client:
            for _ in range(5):
                closed.clear()
                response = await client.get(server.url)
                assert response.text == "good"
                assert await asyncio.to_thread(closed.wait, 20)
                if noted:
                    taking_off(response)()
        assert server.connections == 5


async def test_an_idle_connection_with_an_unnoted_reply_is_no_closed_one(
    serve: Serve, file: Path
) -> None:
    with serve(answering) as server:
        async with asking(file) as client:
            await asyncio.gather(*(client.get(server.url) for _ in range(4)))
            had = server.connections
            for _ in range(20):
                await client.get(server.url)
            assert server.connections == had


async def test_noting_one_reply_takes_nothing_of_the_next(serve: Serve, file: Path) -> None:
    def talk(line: Line) -> None:
        number = 0
        while line.request() is not None:
            number += 1
            line.send(HEAD + b"Content-Length: 100000\r\n\r\n", bytes([number]) * 50_000)
            line.send(bytes([number]) * 50_000)

    with serve(talk) as server:
        async with asking(file, connections=1) as client:
            first = await client.get(server.url)
            noted = taking_off(first)
            async with client.stream("GET", server.url) as second:
                parts = []
                async for part in second.aiter_bytes():
                    noted()
                    parts.append(part)
            assert b"".join(parts) == b"\2" * 100_000
            noted()
            taking_off(second)()
            assert (await client.get(server.url)).content == b"\3" * 100_000
            assert server.connections == 1


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    serve: Serve, file: Path
) -> None:
    def talk(line: Line) -> None:
        while line.request() == b"":
            line.ending()

    with serve(talk) as server:
        async with asking(file, seconds=0.2) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(server.url)


async def test_a_server_that_takes_nothing_is_not_waited_for_for_ever(
    serve: Serve, file: Path
) -> None:
    over = threading.Event()

    with serve(lambda _line: over.wait(20)) as server:
        async with asking(file, seconds=0.2) as client:
            with pytest.raises(httpx.WriteTimeout):
                await client.post(server.url, content=b"x" * 30_000_000)
        over.set()


async def test_a_server_that_never_shakes_hands_is_not_waited_for_for_ever(file: Path) -> None:
    with raw_server(Line.ending) as server:
        async with asking(file, seconds=0.2) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(server.url.replace("http:", "https:"))


async def test_a_server_that_accepts_nobody_is_not_waited_for_for_ever(file: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        place = listening.getsockname()
        with socket.create_connection(place), socket.socket() as filling:
            filling.setblocking(False)
            filling.connect_ex(place)
            async with asking(file, seconds=0.2) as client:
                with pytest.raises(httpx.ConnectTimeout):
                    await client.get(f"http://127.0.0.1:{place[1]}")


async def test_a_server_that_is_not_there_is_a_connect_error(file: Path) -> None:
    with raw_server(answering) as server:
        pass
    async with asking(file) as client:
        for url in (server.url, f"http://{'x' * 64}.test/"):
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")


async def test_a_certificate_of_somebody_else_is_refused(file: Path, tmp_path: Path) -> None:
    other = certificate(tmp_path)
    with raw_server(answering, context=serving(other)) as server:
        async with asking(file) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(server.url)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"Content-Length: 10\r\n\r\n012", b"SMTP\r\n"])
async def test_a_reply_that_breaks_off_or_is_none_is_an_error(
    serve: Serve, file: Path, sent: bytes
) -> None:
    def talk(line: Line) -> None:
        line.request()
        line.send(sent)

    with serve(talk) as server:
        async with asking(file) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(server.url)


async def test_a_connection_that_is_reset_is_an_error(serve: Serve, file: Path) -> None:
    def talk(line: Line) -> None:
        line.request()
        line.reset()

    with serve(talk) as server:
        async with asking(file) as client:
            with pytest.raises(httpx.NetworkError):
                await client.get(server.url)


async def test_a_request_that_is_given_up_disturbs_no_other(serve: Serve, file: Path) -> None:
    given_up = threading.Event()

    def talk(line: Line) -> None:
        while (body := line.request()) is not None:
            if body == b"slow":
                given_up.wait(20)
            line.reply(body)

    with serve(talk) as server:
        async with asking(file, connections=2) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.post(server.url, content=b"slow")
            given_up.set()
            for number in range(10):
                body = str(number).encode()
                assert (await client.post(server.url, content=body)).content == body


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_names_and_addresses_of_both_families_are_found(file: Path, host: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with raw_server(answering, host=host) as server:
        urls = [server.url]
        known = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        if host in {place[4][0] for place in known}:
            # Where it has an address of the other family, too, nobody listens there.
            urls.append(f"http://localhost:{httpx.URL(server.url).port}")
        async with asking(file) as client:
            for url in urls:
                assert (await client.get(url)).text == "good"


async def test_systems_that_cannot_tell_get_an_ordinary_connection(
    serve: Serve, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aion_dagster.client.unread_until_noted.POSSIBLE", False)
    with serve(answering) as server:
        async with asking(file) as client:
            for _ in range(3):
                response = await client.get(server.url)
                taking_off(response)()
                assert response.text == "good"
        assert server.connections == 1


_CHILD = """
import asyncio, os, signal, ssl, sys
import httpx
from aion_dagster.client.unread_until_noted import UnreadUntilNoted, taking_off

url, file, end = sys.argv[1:]

async def main():
    transport = UnreadUntilNoted(ssl.create_default_context(cafile=file), connections=1)
    async with httpx.AsyncClient(transport=transport, timeout=20) as client:
        async with client.stream("POST", url, content=b"x") as response:
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
        assert content == b"0123456789"
        if end != "killed":
            taking_off(response)()
        if end == "killed when noted":
            await asyncio.sleep(0)
        if end.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def seen_by_the_server(serve: Serve, file: Path, parts: list[bytes], end: str) -> str:
    """How the connection of a process ends that got these parts of a reply."""
    endings: Queue[str] = Queue()

    def talk(line: Line) -> None:
        line.request()
        line.send(*parts)
        endings.put(line.ending())

    with serve(talk) as server:
        command = [sys.executable, "-c", _CHILD, server.url, str(file), end]
        child = subprocess.run(command, check=False, timeout=60)
        assert child.returncode == (0 if end == "closes" else -9)
        return endings.get(timeout=20)


@pytest.mark.parametrize("parts", REPLIES.values(), ids=REPLIES)
def test_a_process_killed_before_it_noted_a_reply_left_it_unread(
    serve: Serve, file: Path, parts: list[bytes]
) -> None:
    assert seen_by_the_server(serve, file, parts, "killed") == "reset"


@pytest.mark.parametrize("end", ["killed when noted", "closes"])
def test_a_process_that_noted_a_reply_or_ends_orderly_has_read_it(
    serve: Serve, file: Path, end: str
) -> None:
    assert seen_by_the_server(serve, file, REPLIES["in parts"], end) == "end"
