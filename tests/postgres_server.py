"""A PostgreSQL server of the tests' own, on a free loopback port, gone when they end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs out of the PATH."""


def missing() -> str | None:
    """Why there can be no server here; None where there can."""
    if _found("initdb") is None or _found("postgres") is None:
        return "needs PostgreSQL, which is not installed: apt-get install postgresql"
    return None


def _found(name: str) -> str | None:
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or next(map(str, versions), None)


def _binary(name: str) -> str:
    found = _found(name)
    if found is None:
        raise RuntimeError(missing())
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a fresh server, as SQLAlchemy wants it; without a password, for this machine only."""
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="aion-postgres-"))
    port = free_port()
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [_binary("initdb"), "-D", str(data), "-U", "aion", "--auth=trust", "-E", "UTF8", "-N"],
            check=True,
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [_binary("postgres"), "-D", str(data), *options],
            user=user,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            url = f"postgresql+psycopg2://aion@127.0.0.1:{port}/postgres"
            _wait(url, server, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(30)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    end = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(url.replace("+psycopg2", "")).close()
        except psycopg2.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text(errors="replace")) from None
            time.sleep(0.05)
        else:
            return
