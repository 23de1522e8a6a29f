"""Google Drive at 100,000 files: the first pass, one with nothing new, a change among them, a lost place.

Google's client library asks a server on the loopback that speaks Drive's API (`tests/drive_server`), in a process of its
own. Each pass runs in a fresh process, in ticks of at most `--tick` seconds, into a ledger on SQLite.

    python benchmarks/drive.py [--files 100000] [--latency 0.1] [--connections 8]

Prints a table and one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def client(options: argparse.Namespace) -> None:
    """One pass, as a sensor takes it; reports on the last line."""
    from aion_dagster.ingest import ingest
    from aion_dagster.sources.drive import DriveSource
    from aion_dagster.sources.drive_access import DriveAccess
    from aion_dagster.storage import Store

    store = Store.open(Path(options.store))
    ticks: list[float] = []
    files = deleted = scanned = 0
    cursor = None
    longest = 0
    began, cpu = time.perf_counter(), time.process_time()
    while True:
        source = DriveSource(
            "drive",
            "root",
            access=DriveAccess(variable="DRIVE_KEY"),
            api_endpoint=options.api,
            connections=options.connections,
        )
        tick = time.perf_counter()
        done = ingest(source, store, cursor=cursor, deadline=time.monotonic() + options.tick)
        ticks.append(time.perf_counter() - tick)
        files, deleted, scanned = files + done.files, deleted + done.deleted, scanned + done.scanned
        cursor = done.cursor
        longest = max(longest, len(cursor or ""))
        if done.complete:
            break
    report = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "ticks": len(ticks),
        "longest_tick": max(ticks),
        "scanned": scanned,
        "new": files,
        "deleted": deleted,
        "longest_cursor": longest,
    }
    print(json.dumps(report))


class Server:
    """The server's process, and orders to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.facts = self._line()

    def do(self, order: str, **how: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": order, **how}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def running() -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "drive_server"],
        cwd=HERE.parent / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Server(process)
    finally:
        process.kill()
        process.wait()


def measured(server: Server, store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A pass in a fresh process: what it reports, its memory, and what the server was asked."""
    from watched import watch

    server.do("asked")
    found = watch(
        [
            sys.executable, str(Path(__file__).resolve()), "--client", "--store", str(store), "--api", server.facts["api"],
            "--connections", str(options.connections), "--tick", str(options.tick),
        ]
    )  # fmt: skip
    asked = server.do("asked")
    return {
        **found.report,
        "peak_mib": round(found.peak_mib),
        "requests": sum(asked.values()),
        "asked": asked,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--tick", type=float, default=40.0)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--api", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client(options)
        return
    passes: dict[str, dict[str, Any]] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, running() as server:
        os.environ["DRIVE_KEY"] = json.dumps(server.facts["key"])
        made = server.do("fill", files=options.files)
        server.do("wait", seconds=options.latency)
        store = Path(folder) / "store"
        passes["first"] = measured(server, store, options)
        passes["nothing new"] = measured(server, store, options)
        server.do("change")
        passes["three changes"] = measured(server, store, options)
        server.do("expire")
        passes["expired token"] = measured(server, store, options)
        if not options.latency:
            server.do("expire")
            server.do("limit", every=50)
            passes["expired token, limited"] = measured(server, store, options)
    columns = (
        "seconds",
        "cpu_seconds",
        "ticks",
        "longest_tick",
        "requests",
        "scanned",
        "new",
        "deleted",
        "peak_mib",
    )
    print(f"{'pass':24}" + "".join(f"{c:>14}" for c in columns))
    for name, found in passes.items():
        cells = (found[c] for c in columns)
        print(
            f"{name:24}"
            + "".join(f"{c:14.2f}" if isinstance(c, float) else f"{c:14}" for c in cells)
        )
    print(
        json.dumps(
            {
                "date": datetime.now(UTC).date().isoformat(),
                "load_before": round(load, 1),
                "latency": options.latency,
                "connections": options.connections,
                **made,
                "passes": passes,
            }
        )
    )


if __name__ == "__main__":
    main()
