"""A bucket of a million objects: ticks of the sensor, a pass without news, new ones among the old, peak memory.

usage: million_objects.py [--objects N] [--new N] [--postgres]
       million_objects.py --keep FOLDER --prepare; million_objects.py --keep FOLDER

The second form takes the objects in, and measures what comes later some other time.

The listing comes from `bucket_server.py`, in a process of its own, which has its pages ready and tells the time that it took.
All objects are taken in by `ingest`, as the sensor does it; that their batches are done is made up: builds in the ledger,
tables without rows, partitions and materializations in the instance. Everything that is measured is real: the listing over HTTP,
the ledger, and ticks as the daemon has them evaluated, in a fresh process that does nothing else, whose largest resident set is
the peak memory. Meanwhile another process asks, ten times a second, what the UI, the queue and runs would.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
FIRST_TICKS = 2
"""Ticks of the first listing that are measured; the rest of it is recorded without Dagster."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--postgres", action="store_true", help="ledger and instance there")
    parser.add_argument("--keep", type=Path, help="work here, and leave everything")
    parser.add_argument("--prepare", action="store_true", help="take the objects in, no more")
    return parser.parse_args()


@contextmanager
def bucket(objects: int, new: int) -> Iterator[str]:
    """The endpoint of the server."""
    command = [sys.executable, str(HERE / "bucket_server.py"), str(objects), str(new)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()


def settings(endpoint: str) -> dict[str, Any]:
    """The library's configuration, without its store."""
    source = {"type": "s3", "bucket": "million", "name": "pics", "endpoint_url": endpoint}
    return {"sources": [source], "datasets": [], "text_model": "none"}


def ticks(folder: Path, endpoint: str, home: str, most: int | None, pipe: Connection) -> None:
    """A process that evaluates ticks to the end of a pass (or `most`), and sends what they took."""
    import dagster as dg
    from grown_library import GrownLibrary

    with dg.DagsterInstance.from_config(home) as instance:
        library = GrownLibrary(folder, settings(endpoint), instance)
        before = {b.key for b in library.store.ledger.batches()}
        spent = _spent(endpoint)
        seconds, asked, worked = [], 0, time.process_time()
        while most is None or len(seconds) < most:
            took, result = library.tick()
            seconds.append(round(took, 2))
            asked += len(result.run_requests)
            if not json.loads(library.cursor or "{}")["places"]:
                break
        added = [b for b in library.store.ledger.batches() if b.key not in before]
        pipe.send(
            {
                "ticks": len(seconds),
                "seconds": round(sum(seconds), 1),
                "slowest": max(seconds),
                "cpu_seconds": round(time.process_time() - worked, 1),
                "new_files": sum(b.file_count for b in added),
                "new_batches": len(added),
                "runs_asked_for": asked,
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "server_cpu_seconds": round(_spent(endpoint) - spent, 1),
            }
        )


def _spent(endpoint: str) -> float:
    with urlopen(f"{endpoint}/spent") as answer:
        return float(json.load(answer)["cpu_seconds"])


class Bench:
    """The library over the bucket, and the process that evaluates its ticks."""

    def __init__(self, folder: Path, endpoint: str, instance: Any) -> None:
        from grown_library import GrownLibrary

        self._folder, self._endpoint = folder, endpoint
        self._home = instance.root_directory
        self.library = GrownLibrary(folder, settings(endpoint), instance)
        self.waits: defaultdict[str, list[float]] = defaultdict(list)

    def ticks(self, most: int | None = None, *, ask: bool = False) -> dict[str, Any]:
        """What a fresh process makes of a pass; others ask meanwhile, where `ask`."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        process = context.Process(
            target=ticks, args=(self._folder, self._endpoint, self._home, most, there)
        )
        process.start()
        there.close()
        while not here.poll(0.1):
            if ask:
                self._ask()
            if not process.is_alive() and not here.poll():
                raise RuntimeError("the ticks failed")
        report: dict[str, Any] = here.recv()
        process.join()
        return report

    def _ask(self) -> None:
        """What others ask of instance and ledger."""
        import dagster as dg

        instance, names = self.library.instance, self.library.names
        batch = self._some
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        for name, question in (
            ("partitions", lambda: instance.get_dynamic_partitions(names.partitions_name)),
            ("queue", lambda: instance.get_runs(queued)),
            ("run_begins", lambda: self.library.store.ledger.mark_started(batch)),
        ):
            begun = time.perf_counter()
            question()
            self.waits[name].append(time.perf_counter() - begun)

    @property
    def _some(self) -> str:
        if not hasattr(self, "_batch"):
            self._batch = self.library.store.ledger.batches()[0].key
        return self._batch


def prepared(bench: Bench) -> dict[str, Any]:
    """Have all objects taken in, and their batches done."""
    from aion_dagster.ingest import ingest
    from aion_dagster.resources.sources import build_source

    library = bench.library
    report: dict[str, Any] = {"first": bench.ticks(FIRST_TICKS)}
    say(f"first ticks: {report['first']}")
    begun = time.perf_counter()
    source = build_source(library.config.sources[0], max_bytes=2**30)
    taken = ingest(source, library.store)
    report["taking_in_seconds"] = round(time.perf_counter() - begun, 1)
    say(f"{taken.files} further files taken in, {report['taking_in_seconds']} s")
    library.pretend()
    library.materialized()
    say(f"{len(library.store.ledger.batches())} batches made up")
    return report


def measured(bench: Bench, endpoint: str) -> dict[str, Any]:
    """A pass without news, and one with."""
    report: dict[str, Any] = {"batches": len(bench.library.store.ledger.batches())}
    report["nothing_new"] = bench.ticks(ask=True)
    say(f"nothing new: {report['nothing_new']}")
    urlopen(Request(f"{endpoint}/add", method="POST")).close()
    report["some_new"] = bench.ticks(ask=True)
    say(f"some new: {report['some_new']}")
    report["waits"] = {
        name: {
            "median": round(statistics.median(waits), 3),
            "longest": round(max(waits), 3),
            "times": len(waits),
        }
        for name, waits in bench.waits.items()
    }
    return report


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def everything(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What was asked for, in the order in which it happens."""
    from grown_library import instance_at

    report: dict[str, Any] = {"objects": options.objects}
    with (
        bucket(options.objects, options.new) as endpoint,
        instance_at(folder, postgres=options.postgres) as instance,
    ):
        bench = Bench(folder, endpoint, instance)
        if options.prepare or options.keep is None:
            report |= prepared(bench)
        if not options.prepare:
            report |= measured(bench, endpoint)
    return report


def main() -> None:
    """Measure, and print a table and JSON."""
    options = arguments()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",  # pragma: allowlist secret
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    folder = options.keep or Path(tempfile.mkdtemp(prefix="million-"))
    folder.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    try:
        report = everything(options, folder)
        place = folder / "store" / "ledger.sqlite"
        if place.is_file():
            report["ledger_mib"] = round(place.stat().st_size / 2**20)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    report |= {
        "database": "postgresql" if options.postgres else "sqlite",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(load, 1),
    }
    for name in ("first", "nothing_new", "some_new"):
        if name not in report:
            continue
        one = report[name]
        print(
            f"{name:12} {one['ticks']} ticks, {one['seconds']} s ({one['cpu_seconds']} of CPU), slowest {one['slowest']} s, {one['new_files']} new files in "
            f"{one['new_batches']} batches, {one['peak_mib']} MiB; the server {one['server_cpu_seconds']} s"
        )
    for name, one in report.get("waits", {}).items():
        print(f"{name:12} {one['median']} s, longest {one['longest']} s of {one['times']}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
