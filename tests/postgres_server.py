"""A PostgreSQL server of the tests' own, on a free loopback port, gone when they end."""

from __future__ import annotations

import os
import shutil
import signal
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


class PostgresServer:
    """A server with a folder and a port of its own, which can be restarted."""

    def __init__(self, folder: Path) -> None:
        """Make its database below an empty folder."""
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg2://aion@127.0.0.1:{self._port}/postgres"
        if self._user is not None:
            shutil.chown(folder, self._user)
        command = [_binary("initdb"), "-D", str(folder / "data"), "-U", "aion", "--auth=trust"]
        subprocess.run(
            [*command, "-E", "UTF8", "-N"],
            check=True,
            user=self._user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["-p", str(self._port), "-h", "127.0.0.1", "-k", str(self._folder), "-F"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [_binary("postgres"), "-D", str(self._folder / "data"), *options],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        _wait(self.url, self._server, self._folder / "log")

    def stop(self) -> None:
        """End all sessions and stop."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)
            self._server = None


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a fresh server, as SQLAlchemy wants it; without a password, for this machine only."""
    folder = Path(tempfile.mkdtemp(prefix="aion-postgres-"))
    try:
        server = PostgresServer(folder)
        try:
            server.start()
            yield server.url
        finally:
            server.stop()
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
