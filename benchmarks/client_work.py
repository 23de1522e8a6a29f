"""Calls one server many times, or sends it much, and reports what that cost this process.

    python client_work.py calls  HOW WHAT URL COUNT
    python client_work.py upload HOW WHO  URL FILE …

HOW is `sync` or `async`. `calls` makes COUNT calls of a kind (WHAT: `quota`, `file`) by bare httpx, as one would use it by
hand (the key in its headers, the status looked at, the JSON decoded), and as many by the client, in turns of 250 one after
the other; prints the CPU seconds of either. `upload` sends the files in one request, by `bare` or `client` (WHO); prints CPU
seconds, and by how many MiB it raised the peak of the resident memory. Imports, set-up and the first call, which opens the
connection, are not counted. What is printed is a line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from aion_dagster.client import AionVision, SyncAionVision

KEY = "aion_0123456789abcdefghij"
FILE = "3f1c9a52-7d0e-4c55-9c1e-7a1f00000003"
FORM = {"auto_describe": "true", "skip_duplicates": "true", "storage_target": "default"}
OPTIONS: dict[str, Any] = {
    "headers": {"Authorization": f"Bearer {KEY}", "Accept": "application/json"},
    "timeout": 300.0,
    "trust_env": False,
    "limits": httpx.Limits(max_connections=32, max_keepalive_connections=32),
}


BLOCK = 250


class Measured:
    """CPU seconds and growth of the peak memory within the `with`."""

    def __enter__(self) -> Measured:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._memory = _status("VmRSS")
        self._cpu = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = time.process_time() - self._cpu
        self.growth = (_status("VmHWM") - self._memory) / 1024

    def told(self) -> dict[str, float]:
        return {"cpu": self.cpu, "growth_mib": self.growth}


def _status(name: str) -> int:
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def bare_sync(url: str, files: list[str]) -> dict[str, Callable[[], Any]]:
    http = httpx.Client(**OPTIONS)

    def quota() -> Any:
        answer = http.get(f"{url}/uploads/quota-check", params={"file_count": 1})
        return answer.raise_for_status().json()

    def file() -> Any:
        return http.get(f"{url}/user-files/{FILE}").raise_for_status().json()

    def upload() -> Any:
        with ExitStack() as stack:
            parts = [("files", _part(stack, name)) for name in files]
            target = f"{url}/user-files/upload/stream-batch"
            return http.post(target, data=FORM, files=parts).raise_for_status().json()

    return {"quota": quota, "file": file, "upload": upload, "close": http.close}


def bare_async(url: str, files: list[str]) -> dict[str, Callable[[], Any]]:
    http = httpx.AsyncClient(**OPTIONS)

    async def quota() -> Any:
        answer = await http.get(f"{url}/uploads/quota-check", params={"file_count": 1})
        return answer.raise_for_status().json()

    async def file() -> Any:
        return (await http.get(f"{url}/user-files/{FILE}")).raise_for_status().json()

    async def upload() -> Any:
        with ExitStack() as stack:
            parts = [("files", _part(stack, name)) for name in files]
            target = f"{url}/user-files/upload/stream-batch"
            return (await http.post(target, data=FORM, files=parts)).raise_for_status().json()

    return {"quota": quota, "file": file, "upload": upload, "close": http.aclose}


def _part(stack: ExitStack, name: str) -> tuple[str, Any, str]:
    return Path(name).name, stack.enter_context(Path(name).open("rb")), "image/jpeg"


def client(made: AionVision | SyncAionVision, files: list[str]) -> dict[str, Callable[[], Any]]:
    """Either client: what is called is awaited, or not."""
    return {
        "quota": lambda: made.uploads.check_quota(1),
        "file": lambda: made.files.get(FILE),
        "upload": lambda: made.uploads.stream_batch(files, skip_duplicates=True),
        "close": made.close,
    }


def sides(how: str, url: str, files: list[str]) -> dict[str, dict[str, Callable[[], Any]]]:
    """Bare httpx and the client."""
    if how == "sync":
        ours = client(SyncAionVision(KEY, base_url=url), files)
        return {"bare": bare_sync(url, files), "client": ours}
    ours = client(AionVision(KEY, base_url=url), files)
    return {"bare": bare_async(url, files), "client": ours}


def calls_sync(both: dict[str, dict[str, Callable[[], Any]]], what: str, count: int) -> Any:
    cpu = dict.fromkeys(both, 0.0)
    for side in both.values():
        side[what]()
    for number in range(count // BLOCK):
        for who in sorted(both, reverse=bool(number % 2)):
            work = both[who][what]
            begun = time.process_time()
            for _ in range(BLOCK):
                work()
            cpu[who] += time.process_time() - begun
    for side in both.values():
        side["close"]()
    return cpu


async def calls_async(both: dict[str, dict[str, Callable[[], Any]]], what: str, count: int) -> Any:
    cpu = dict.fromkeys(both, 0.0)
    for side in both.values():
        await side[what]()
    for number in range(count // BLOCK):
        for who in sorted(both, reverse=bool(number % 2)):
            work = both[who][what]
            begun = time.process_time()
            for _ in range(BLOCK):
                await work()
            cpu[who] += time.process_time() - begun
    for side in both.values():
        await side["close"]()
    return cpu


def upload_sync(side: dict[str, Callable[[], Any]]) -> Any:
    side["quota"]()
    with Measured() as measured:
        side["upload"]()
    side["close"]()
    return measured.told()


async def upload_async(side: dict[str, Callable[[], Any]]) -> Any:
    await side["quota"]()
    with Measured() as measured:
        await side["upload"]()
    await side["close"]()
    return measured.told()


async def asynchronous(task: str, subject: str, url: str, rest: list[str]) -> Any:
    if task == "calls":
        return await calls_async(sides("async", url, []), subject, int(rest[0]))
    return await upload_async(sides("async", url, rest)[subject])


def main() -> None:
    task, how, subject, url, *rest = sys.argv[1:]
    if how == "async":
        told = asyncio.run(asynchronous(task, subject, url, rest))
    elif task == "calls":
        told = calls_sync(sides("sync", url, []), subject, int(rest[0]))
    else:
        told = upload_sync(sides("sync", url, rest)[subject])
    print(json.dumps(told))


if __name__ == "__main__":
    main()
