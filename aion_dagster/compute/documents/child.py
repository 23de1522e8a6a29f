"""The asking side of one reading process: started, spoken to within a time, ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from aion_dagster.compute.documents.wire import HEAD, WireError, high_water, message
from aion_dagster.errors import AionError

_STARTING: Final = 30.0
"""Seconds that a loaded machine may take to start Python."""

_ROOT: Final = Path(__file__).resolve().parents[3]
"""Where this package is imported from."""

_PIECE: Final = 2**18
_MOST_HEADER: Final = 2**27
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHOME")
"""What of the environment the process may see: no secrets beside hostile files."""


class ChildLostError(AionError):
    """The process crashed or ran out of time, and is gone; the message says which."""

    def __init__(self, reason: str, *, crashed: bool = False) -> None:
        """`crashed`: it ended by itself, or was ended by a stranger."""
        super().__init__(reason)
        self.crashed = crashed


class Child:
    """A process that runs `worker`. Attributes: `peak`, the most memory it ever held, in bytes, as far as known."""

    def __init__(self, memory_bytes: int) -> None:
        """Start it and wait until it is ready."""
        paths = [str(_ROOT), *(p for p in sys.path if p and p != str(_ROOT))]
        environment = {k: os.environ[k] for k in _KEPT_VARIABLES if k in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self.peak = 0
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            [
                sys.executable,
                "-P",
                "-m",
                "aion_dagster.compute.documents.worker",
                str(memory_bytes),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        self._to, self._from = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._to.fileno(), False)
        os.set_blocking(self._from.fileno(), False)
        header, _ = self.receive(time.monotonic() + _STARTING, most=0)
        if header.get("kind") != "ready":
            self.end()
            raise ChildLostError("the process that reads documents did not start")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True once it is gone, by whoever's hand."""
        if self._process.returncode is None and self._process.poll() is not None:
            self._reap()
        return self._process.returncode is not None

    def send(self, header: Mapping[str, Any], body: bytes, deadline: float) -> None:
        """Send one message before `deadline` (of `time.monotonic`).

        Raises:
            ChildLostError: the process is gone, or did not take it in time and was ended.
        """
        first = message(header)
        for part in (HEAD.pack(len(first), len(body)) + first, body):
            view = memoryview(part)
            while view:
                self._wait(self._to, select.POLLOUT, deadline)
                try:
                    view = view[os.write(self._to.fileno(), view[:_PIECE]) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._lost() from error

    def receive(self, deadline: float, *, most: int) -> tuple[dict[str, Any], bytes]:
        """The next message, whose body has at most `most` bytes.

        Raises:
            ChildLostError: the process is gone, answered nonsense, or nothing in time; it was ended in each case.
        """
        lengths = HEAD.unpack(self._exactly(HEAD.size, deadline))
        if lengths[0] > _MOST_HEADER or lengths[1] > most:
            self.end()
            raise ChildLostError("the reader's answer is longer than it may be")
        first = self._exactly(lengths[0], deadline)
        body = self._exactly(lengths[1], deadline)
        try:
            header = json.loads(first)
            self.peak = max(self.peak, int(header.get("peak", 0)))
        except (ValueError, AttributeError, TypeError) as error:
            self.end()
            raise ChildLostError("the reader's answer is no message") from WireError(str(error))
        return header, bytes(body)

    def end(self) -> None:
        """Kill it, whatever it does, and note the most memory that it held."""
        if self._process.returncode is not None:
            return
        self.peak = max(self.peak, high_water(self._process.pid))
        self._process.kill()
        self._reap()

    def _reap(self) -> None:
        """Wait for the end."""
        self._process.wait()
        self._to.close()
        self._from.close()

    def _exactly(self, count: int, deadline: float) -> bytearray:
        data = bytearray()
        while len(data) < count:
            self._wait(self._from, select.POLLIN, deadline)
            try:
                piece = os.read(self._from.fileno(), min(_PIECE, count - len(data)))
            except BlockingIOError:
                continue
            if not piece:
                raise self._lost()
            data += piece
        return data

    def _wait(self, pipe: IO[bytes], event: int, deadline: float) -> None:
        if self._process.returncode is not None:
            raise ChildLostError("the reader has ended")
        poll = select.poll()
        poll.register(pipe, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            self.end()
            raise ChildLostError("it took longer than its time limit to read")

    def _lost(self) -> ChildLostError:
        """The error for a process that ended by itself."""
        self.end()
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        reason = f"reading it ended the process that read it, twice ({how})"
        return ChildLostError(reason, crashed=True)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # Popen was asked for pipes
        raise ChildLostError("the process that reads documents has no pipes")
    return stream
