"""The server as a process of its own, told what to do by lines of JSON: for benchmarks.

`python -m drive_server` prints `{"url": …, "key": …}`, then answers each line with one: `{"do": "fill", "files": 100000}`,
`{"do": "change"}`, `{"do": "expire"}`, `{"do": "limit", "every": 50}`, `{"do": "asked"}` (and forget), `{"do": "wait",
"seconds": 0.1}` before each answer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from .account import Account
from .faults import Fault
from .refusals import limited
from .server import DriveServer


def fill(account: Account, files: int, per_folder: int = 45) -> list[str]:
    """Nested folders, ten to a folder on two levels and as many as it takes on the third; returns the files."""
    top = [account.folder(f"{n:02d}") for n in range(10)]
    middle = [account.folder(f"{n:02d}", parent) for parent in top for n in range(10)]
    made: list[str] = []
    number = 0
    while len(made) < files:
        folder = account.folder(f"{number // 100:03d}", middle[number % 100])
        number += 1
        for _ in range(min(per_folder, files - len(made))):
            name = f"IMG_{len(made):06d}.jpg"
            made.append(account.file(name, folder, name.encode()))
    return made


class Orders:
    """What a line asks for."""

    def __init__(self, server: DriveServer) -> None:
        self._server = server
        self._files: list[str] = []

    def fill(self, files: int) -> dict[str, Any]:
        self._files = fill(self._server.account, files)
        return {"files": len(self._files), "folders": len(self._server.account.children) - 1}

    def change(self) -> dict[str, Any]:
        """One new file, one overwritten, one in the trash."""
        account = self._server.account
        new, old, gone = (self._files[len(self._files) * n // 7] for n in (2, 3, 5))
        account.file("new.jpg", account.items[new].parent, b"new")
        account.write(old, b"overwritten")
        account.trash(gone)
        return {}

    def expire(self) -> dict[str, Any]:
        self._server.account.expire_tokens()
        return {}

    def limit(self, every: int) -> dict[str, Any]:
        """Of each so many requests, one is refused for its rate."""
        refused = limited("userRateLimitExceeded")
        for number in range(1, 200):
            self._server.faults.add(Fault("*", refused, after=number * every))
        return {}

    def wait(self, seconds: float) -> dict[str, Any]:
        self._server.faults.clear()
        if seconds:
            pause = Fault("*", how="hold", times=None, meanwhile=lambda: time.sleep(seconds))
            self._server.faults.add(pause)
        return {}

    def asked(self) -> dict[str, Any]:
        asked = dict(self._server.faults.asked)
        self._server.faults.count()
        return asked


def main() -> None:
    server = DriveServer(Account(seed=5))
    orders = Orders(server)
    with server.running():
        key = server.grants.service_account(server.url)
        print(json.dumps({"url": server.url, "api": server.api_endpoint, "key": key}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps(getattr(orders, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    main()
