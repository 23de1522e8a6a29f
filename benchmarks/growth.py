"""What grows with the number of batches: a tick, a run's bookkeeping, the library, a dataset; with a picture.

usage: growth.py [--sizes 100,1000,10000] [--postgres] [--picture FILE.svg] [--keep FOLDER] [--json FILE]

A batch of one small picture is computed; the library grows by copies of it: files in the source's folder, manifests and
ledger rows as ingestion makes them, partitions, tables of one row, materializations in the Dagster instance. What is
measured is real: ticks of the sensor as the daemon evaluates them, runs of the batch job and of the library's job.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

ROUNDS = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--postgres", action="store_true", help="ledger and instance there")
    parser.add_argument("--picture", type=Path, help="an SVG of the curves")
    parser.add_argument("--json", type=Path, help="figures of this run, and of earlier ones")
    parser.add_argument("--keep", type=Path, help="work here, and leave everything")
    return parser.parse_args()


class Growth:
    """A library that grows, and what things take at each size."""

    def __init__(self, folder: Path, instance: Any) -> None:
        from grown_library import GrownLibrary

        self._inbox = folder / "inbox"
        self._inbox.mkdir(parents=True, exist_ok=True)
        self._drawn = 0
        config = {
            "sources": [{"type": "folder", "path": str(self._inbox), "name": "inbox"}],
            "datasets": [{"name": "default", "exports": []}],
            "batch_files": 1,
            "text_model": "none",
            "max_batches_per_tick": 1000,
            "max_unfinished_batches": 1000,
        }
        self.library = GrownLibrary(folder, config, instance)
        self._draw(1)
        self.library.tick()
        (first,) = self.library.store.ledger.batches()
        self._template = first.key
        self.library.run_batch(first.key)

    def _draw(self, number: int) -> None:
        """More pictures; settled, that is not from just now."""
        for _ in range(number):
            place = self._inbox / f"{self._drawn // 1000:03}" / f"{self._drawn:06}.png"
            place.parent.mkdir(exist_ok=True)
            color = (self._drawn % 256, self._drawn // 256 % 256, 90)
            Image.new("RGB", (16, 12), color).save(place)
            os.utime(place, (1_700_000_000 + self._drawn, 1_700_000_000 + self._drawn))
            self._drawn += 1

    def grow(self, size: int) -> dict[str, float]:
        """As many batches; what making them took."""
        from aion_dagster.ingest import ingest
        from aion_dagster.resources.sources import build_source

        self._draw(size - self._drawn)
        source = build_source(self.library.config.sources[0], max_bytes=2**30)
        begun = time.perf_counter()
        ingest(source, self.library.store, batch_files=1)
        recorded = time.perf_counter()
        self.library.copy_batch(self._template)
        copied = time.perf_counter()
        self.library.materialized()
        told = time.perf_counter()
        return {
            "recording": recorded - begun,
            "copying": copied - recorded,
            "events": told - copied,
        }

    def measure(self) -> dict[str, float]:
        """Seconds; medians of a few."""
        library = self.library
        library.tick()  # what the first tick of a process pays alone
        quiet = [library.tick()[0] for _ in range(ROUNDS)]
        news, runs = [], []
        for _ in range(ROUNDS):
            self._draw(1)
            seconds, result = library.tick()
            news.append(seconds)
            (request,) = result.run_requests
            runs.append(library.run_batch(request.partition_key))
        return {
            "tick": statistics.median(quiet),
            "tick_with_news": statistics.median(news),
            "run": statistics.median(runs),
            "library": library.run_whole(["library"]),
            "near_duplicates": library.run_whole(["near_duplicates"]),
            "search_index": library.run_whole(["search_index"]),
            "dataset": library.run_whole(["dataset/default"]),
        }


def main() -> None:
    """Measure, and print a table and JSON."""
    from grown_library import instance_at

    options = arguments()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="growth-"))
    report: dict[str, Any] = {
        "database": "postgresql" if options.postgres else "sqlite",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
        "sizes": {},
    }
    try:
        with instance_at(folder, postgres=options.postgres) as instance:
            growth = Growth(folder, instance)
            for size in map(int, options.sizes.split(",")):
                made = growth.grow(size)
                print(
                    f"{size} made: { {k: round(v, 1) for k, v in made.items()} }", file=sys.stderr
                )
                measured = growth.measure()
                report["sizes"][size] = {name: round(s, 3) for name, s in measured.items()}
                print(size, report["sizes"][size], file=sys.stderr, flush=True)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    columns = list(next(iter(report["sizes"].values())))
    print(f"{'batches':>8} " + " ".join(f"{c:>16}" for c in columns))
    for size, row in report["sizes"].items():
        print(f"{size:>8} " + " ".join(f"{row[c]:>16.3f}" for c in columns))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
