"""For tests: the server in a process of its own, and a handle on it.

Use `from aionvision_server.fixtures import aionvision, aionvision_process` in a `conftest.py`, or `running(…)` where a
test wants a server of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

_ROOT: Final = Path(__file__).resolve().parents[2]


class Server:
    """A handle on a running server: what to tell a client, what to tell the server, what it counted.

    Attributes:
        url: the API's base URL, which ends in `/api/v2`.
        key: an API key that it takes.
        endpoint_url: base URL of the OpenAI-compatible endpoint, which ends in `/v1`.
        storage_url, foreign_url: the other hosts.
        by_specification: whether it holds requests and answers against the vendor's file.
    """

    def __init__(self, told: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
        self.url: str = told["base_url"]
        self.key: str = told["key"]
        self.endpoint_url: str = told["endpoint_url"]
        self.storage_url: str = told["storage_url"]
        self.foreign_url: str = told["foreign_url"]
        self.by_specification = told["specification"] is not None
        self.process = process
        self._held = 0
        self._admin = httpx.Client(base_url=told["admin_url"], timeout=60, trust_env=False)

    def counters(self) -> dict[str, Any]:
        """Everything that was counted since the beginning or the last `reset`."""
        return dict(self._told("GET", "counters"))

    def log(self, operation: str = "", since: int = 0) -> list[dict[str, Any]]:
        """The requests whose operation contains a text, after the entry with number `since`."""
        return list(self._told("GET", "log", params={"operation": operation, "since": since}))

    def objects(self) -> list[dict[str, Any]]:
        """Every remote file, deleted ones too."""
        return list(self._told("GET", "objects"))

    def fault(self, kind: str, operation: str = "*", **more: Any) -> int:
        """Have something go wrong: see `faults.Fault`; other names are the kind's options. Returns its number."""
        fault = {"kind": kind, "operation": operation, **more}
        return int(self._told("POST", "faults", json=fault)["number"])

    def clear_faults(self, number: int | None = None) -> None:
        """Take back one fault, or all."""
        self._told("DELETE", "faults", params={} if number is None else {"number": number})

    def side(self, **sides: str) -> None:
        """Take a side in contradictions: `side(timestamps="naive")`; see `sides.SIDES`."""
        self._told("PUT", "sides", json=sides)

    def plan(self, name: str) -> None:
        """FREE, STARTER, PROFESSIONAL, ENTERPRISE or UNLIMITED."""
        self._told("PUT", "plan", json={"name": name})

    def settings(self, **changes: Any) -> None:
        """See `world.Settings`: `settings(looks={"description": 3})`."""
        self._told("PUT", "settings", json=changes)

    def described_at_once(self) -> None:
        """Whatever goes on in the background is over at the first look."""
        everything = self._told("GET", "settings")["settings"]["looks"]
        self.settings(looks=dict.fromkeys(everything, 0))

    def clock(self, **change: float) -> float:
        """Move the server's clock: `advance=` seconds, `at=` a moment, `speed=` (0 stops it); what it shows then."""
        return float(self._told("PUT", "clock", json=change)["now"])

    def uploads_used(self, count: int) -> None:
        """So many uploads count as made this month."""
        self._told("PUT", "uploads", json={"used": count})

    def add_key(self, text: str, *, active: bool = True, expired: bool = False) -> None:
        self._told("PUT", "keys", json={"text": text, "active": active, "expired": expired})

    def hold(self, operation: str = "*", *, accepted: bool = True, **more: Any) -> int:
        """Hold replies back from now on: after the work is done, or (not `accepted`) before; see `wait_held`."""
        self._held = int(self._told("GET", "holds")["arrived"])
        return self.fault("hold" if accepted else "hold_before", operation, **more)

    def wait_held(self, count: int = 1, timeout: float = 30.0) -> list[dict[str, Any]]:
        """The requests that wait, once `count` more have been held since the last `hold` or `wait_held`.

        Raises:
            TimeoutError: they were not.
        """
        wanted = {"arrived": self._held + count, "timeout": timeout}
        told = self._told("GET", "holds", params=wanted)
        if not told["reached"]:
            raise TimeoutError(f"{told['arrived'] - self._held} of {count} requests were held")
        self._held += count
        return list(told["waiting"])

    def release(self, outcome: str = "answer") -> int:
        """Let the held replies go, or ("reset") break their connections; how many there were."""
        return int(self._told("POST", "release", json={"outcome": outcome})["released"])

    def reset(self) -> None:
        """As if the server had just begun."""
        self._held = 0
        self._told("POST", "reset")

    def close(self) -> None:
        """End the server."""
        self._admin.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def assert_clean(self) -> None:
        """No request broke the specification, no answer did, nothing failed within, no key went elsewhere."""
        counted = self.counters()
        for name in ("violations", "own_violations", "failures", "keys_seen_elsewhere"):
            assert not counted[name], f"{name}: {counted[name]}"

    def _told(self, method: str, name: str, **request: Any) -> Any:
        response = self._admin.request(method, f"/{name}", **request)
        if response.status_code != 200:
            raise ValueError(response.json()["error"])
        return response.json()


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """A server of one's own, started with command-line arguments."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aionvision_server", "--json", "--while-stdin", *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the test server did not start, status {process.wait()}")
    server = Server(json.loads(line), process)
    try:
        yield server
    finally:
        server.close()
        process.stdout.close()


@pytest.fixture(scope="session")
def aionvision_process() -> Iterator[Server]:
    """One server for all tests of a session; tests take `aionvision`."""
    with running() as server:
        yield server


@pytest.fixture
def aionvision(aionvision_process: Server) -> Server:
    """A server in its first state."""
    aionvision_process.reset()
    return aionvision_process
