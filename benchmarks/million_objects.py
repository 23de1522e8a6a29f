"""A bucket of a million objects: ticks of the sensor, a pass without news, new ones among the old, peak memory.

usage: million_objects.py [--objects N] [--new N] [--postgres URL] [--keep FOLDER]

The listing comes from `bucket_server.py`, in a process of its own; batches are made as ledger rows, partitions and one-row
tables, so that the sensor takes them for done. Everything that is measured is real: the listing over HTTP, the ledger, the
ticks as the daemon evaluates them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
FIRST_TICKS = 3
"""Ticks of the first listing that are measured; the rest of it is recorded without Dagster."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--postgres", help="URL of an empty database for ledger and instance")
    parser.add_argument("--keep", type=Path, help="work here, and leave everything")
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


class Bench:
    """A library over the bucket, with its instance."""

    def __init__(self, folder: Path, endpoint: str, postgres: str | None) -> None:
        import dagster as dg
        import yaml

        from aion_dagster.config import LibraryConfig
        from aion_dagster.definitions import build_definitions
        from aion_dagster.resources.access import open_store
        from aion_dagster.resources.naming import Names

        source = {"type": "s3", "bucket": "million", "name": "pics", "endpoint_url": endpoint}
        self.config = LibraryConfig.parse(
            {"store": str(folder / "store"), "sources": [source], "datasets": []}
        )
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        storage = {"storage": {"postgres": {"postgres_url": postgres}}} if postgres else {}
        (home / "dagster.yaml").write_text(
            yaml.safe_dump({**storage, "telemetry": {"enabled": False}})
        )
        self.instance = dg.DagsterInstance.from_config(str(home))
        self.definitions = build_definitions(self.config, quiet=True)
        self.store = open_store(self.config.store, "default")
        self.names = Names()
        self.cursor: str | None = None

    def tick(self) -> tuple[float, Any]:
        """Seconds of a tick as the daemon evaluates it, and its result."""
        import dagster as dg

        sensor = self.definitions.resolve_sensor_def("new_files")
        begun = time.perf_counter()
        context = dg.build_sensor_context(
            instance_ref=self.instance.get_ref(), definitions=self.definitions, cursor=self.cursor
        )
        result = sensor.evaluate_tick(context)
        seconds = time.perf_counter() - begun
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(
                request.partitions_def_name, list(request.partition_keys)
            )
        self.cursor = result.cursor
        return seconds, result

    def one_pass(self) -> dict[str, Any]:
        """Ticks until the listing has come to its end."""
        ticks, batches = [], len(self.store.ledger.batches())
        while True:
            seconds, _ = self.tick()
            ticks.append(round(seconds, 2))
            if json.loads(self.cursor or "{}")["places"] == {}:
                break
        added = self.store.ledger.batches()[batches:]
        return {
            "ticks": ticks,
            "seconds": round(sum(ticks), 1),
            "slowest": max(ticks),
            "new_files": sum(b.file_count for b in added),
            "new_batches": len(added),
        }

    def finish(self) -> None:
        """Let every batch be done: builds in the ledger, tables with a row, materializations in the instance."""
        import dagster as dg

        from aion_dagster.planning import Planner, configured_backend, partitioned_assets

        planner = Planner(self.config, self.store, configured_backend(self.config))
        keys = list(planner.plan().batches)
        known = self.instance.get_existing_dynamic_partitions(self.names.partitions_name, keys)
        for start in range(0, len(keys), 1000):
            chunk = [k for k in keys[start : start + 1000] if k not in known]
            if chunk:
                self.instance.add_dynamic_partitions(self.names.partitions_name, chunk)
        assets = partitioned_assets(self.config)
        self._record_builds({b: planner.expected(b) for b in keys}, assets)
        for asset in assets:
            first = self.store.tables.path(asset, keys[0])
            empty = self.store.tables.schema(asset).empty_table()
            self.store.tables.write(asset, empty, batch=keys[0])
            for batch in keys[1:]:
                place = self.store.tables.path(asset, batch)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(first, place)
        for batch in keys:
            event = dg.AssetMaterialization(self.names.key(assets[-1]), partition=batch)
            self.instance.report_runless_asset_event(event)

    def _record_builds(self, prints: dict[str, dict[str, str]], assets: tuple[str, ...]) -> None:
        from aion_dagster.storage.ledger_tables import BUILDS

        rows = [
            {
                "asset": asset,
                "partition": batch,
                "fingerprint": prints[batch][asset],
                "rows": 1,
                "info": "{}",
                "built_at": datetime.now(UTC),
            }
            for batch in prints
            for asset in assets
        ]
        with self.store.ledger._database.write() as connection:
            for start in range(0, len(rows), 5000):
                connection.execute(BUILDS.insert(), rows[start : start + 5000])


def measured(
    options: argparse.Namespace, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Everything that is measured, in the order in which it happens."""
    from aion_dagster.ingest import ingest
    from aion_dagster.resources.sources import build_source

    report: dict[str, Any] = {"objects": options.objects}
    with bucket(options.objects, options.new) as endpoint:
        bench = Bench(folder, endpoint, options.postgres)
        report["first_ticks"] = [round(bench.tick()[0], 2) for _ in range(FIRST_TICKS)]
        say(f"first ticks {report['first_ticks']}")
        begun = time.perf_counter()
        source = build_source(bench.config.sources[0], max_bytes=2**30)
        taken = ingest(source, bench.store)
        report["first_listing_seconds"] = round(time.perf_counter() - begun, 1)
        report["batches"] = len(bench.store.ledger.batches())
        say(f"{taken.files} further files recorded in {report['first_listing_seconds']} s")
        bench.finish()
        bench.cursor = None
        report["nothing_new"] = bench.one_pass()
        say(f"nothing new: {report['nothing_new']}")
        report["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        urlopen(Request(f"{endpoint}/add", method="POST")).close()
        report["some_new"] = bench.one_pass()
        say(f"{options.new} new: {report['some_new']}")
        seconds, _ = bench.tick()
        report["tick_after"] = round(seconds, 2)
        report["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        report["ledger_mib"] = _ledger_mib(folder)
    return report


def _ledger_mib(folder: Path) -> int:
    place = folder / "store" / "ledger.sqlite"
    return round(place.stat().st_size / 2**20) if place.is_file() else 0


def main() -> None:
    """Measure, and print a table and JSON."""
    options = arguments()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",  # pragma: allowlist secret
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if options.postgres:
        os.environ["AION_LEDGER_URL"] = options.postgres
    folder = options.keep or Path(tempfile.mkdtemp(prefix="million-"))
    load = os.getloadavg()[0]
    try:
        report = measured(options, folder, lambda text: print(text, file=sys.stderr, flush=True))
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    report |= {
        "database": "postgresql" if options.postgres else "sqlite",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(load, 1),
    }
    for name in ("nothing_new", "some_new"):
        one = report[name]
        print(
            f"{name:12} {len(one['ticks'])} ticks, {one['seconds']} s, slowest {one['slowest']} s, "
            f"{one['new_files']} new files in {one['new_batches']} batches"
        )
    print(f"peak memory  {report['peak_mib']} MiB")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
