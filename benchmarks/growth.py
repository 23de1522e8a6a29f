"""What grows with the number of batches: a tick, a run's bookkeeping, the library, a dataset; with a picture.

usage: growth.py [--sizes 100,1000,10000] [--postgres] [--picture FILE.svg]
       growth.py --keep FOLDER --sizes N --grow; growth.py --keep FOLDER --sizes N [--figures FILE]

The second form makes a library of one size, which takes longer than everything else, and measures it some other time.

A batch of one small picture is computed; the library grows by copies of it: files in the source's folder, manifests and
ledger rows as ingestion makes them, partitions, tables of one row, materializations in the Dagster instance. What is
measured is real: ticks of the sensor as the daemon evaluates them, runs of the batch job and of the library's job.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
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
    parser.add_argument("--figures", type=Path, help="JSON of earlier figures, to be added to")
    parser.add_argument("--keep", type=Path, help="work here, and leave everything")
    parser.add_argument("--grow", action="store_true", help="make the library, measure nothing")
    options = parser.parse_args()
    options.sizes = [int(size) for size in options.sizes.split(",")]
    return options


class Growth:
    """A library that grows, and what things take at each size."""

    def __init__(self, folder: Path, instance: Any) -> None:
        from grown_library import GrownLibrary

        self._inbox = folder / "inbox"
        self._inbox.mkdir(parents=True, exist_ok=True)
        self._drawn = sum(1 for _ in self._inbox.rglob("*.png"))
        config = {
            "sources": [{"type": "folder", "path": str(self._inbox), "name": "inbox"}],
            "datasets": [{"name": "default", "exports": []}],
            "batch_files": 1,
            "text_model": "none",
            "max_batches_per_tick": 1000,
            "max_unfinished_batches": 1000,
        }
        self.library = GrownLibrary(folder, config, instance)
        if not self._drawn:
            self._draw(1)
            self.library.tick()
            self.library.run_batch(self._template)

    @property
    def _template(self) -> str:
        return self.library.store.ledger.batches()[0].key

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

    def measure(self) -> dict[str, list[float]]:
        """Seconds, and CPU seconds of this process; medians of a few."""
        library = self.library
        library.tick()  # what the first tick of a process pays alone
        library.run_whole(["library"])
        library.run_whole(["search_index"])
        rounds: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(ROUNDS):
            rounds["tick"].append(timed(library.tick))
            self._draw(1)
            rounds["tick with news"].append(timed(library.tick))
            (batch,) = [b for b in library.store.ledger.batches() if b.started_at is None]
            rounds["run"].append(timed(lambda key=batch.key: library.run_batch(key)))
        for asset in ("library", "near_duplicates", "search_index", "dataset/default"):
            rounds[asset].append(timed(lambda name=asset: library.run_whole([name])))
        return {
            name: [round(statistics.median(part), 3) for part in zip(*found, strict=True)]
            for name, found in rounds.items()
        }


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds that something takes, and CPU seconds."""
    begun, worked = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - begun, time.process_time() - worked


_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 420, 60, 40, 170, 50
_COLORS = ("#3366cc", "#dc6a28", "#2a9d5b", "#8e44ad", "#c0392b", "#7a7a7a", "#b8860b")


def picture(figures: dict[str, dict[str, list[float]]]) -> str:
    """CPU seconds over batches, both logarithmic, as SVG; other work on the machine does not count then."""
    sizes = {size: {name: cpu for name, (_, cpu) in row.items()} for size, row in figures.items()}
    counts = [int(size) for size in sizes]
    names = list(next(iter(sizes.values())))
    values = [row[name] for row in sizes.values() for name in names]
    left, right = math.log10(counts[0]), math.log10(counts[-1])
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(count: float) -> float:
        share = (math.log10(count) - left) / ((right - left) or 1)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(seconds: float) -> float:
        share = (math.log10(seconds) - low) / (high - low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">CPU seconds by the number of batches known</text>',
    ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(
            f'<path d="M{_LEFT} {at}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{10.0**power:g}</text>'
        )
    parts += [
        f'<text x="{x(count)}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{count:,}</text>'
        for count in counts
    ]
    for place, name in enumerate(names):
        color = _COLORS[place % len(_COLORS)]
        points = [(x(int(size)), y(row[name])) for size, row in sizes.items()]
        line = " ".join(f"{a},{b}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{color}"/>' for a, b in points]
        height = _TOP + 10 + place * 20
        parts.append(
            f'<path d="M{_WIDTH - _RIGHT + 20} {height}h20" stroke="{color}" stroke-width="2"/>'
            f'<text x="{_WIDTH - _RIGHT + 46}" y="{height + 4}">{name.replace("_", " ")}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def figures(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds and CPU seconds by size and what was measured."""
    from grown_library import instance_at

    found: dict[str, dict[str, list[float]]] = {}
    with instance_at(folder, postgres=options.postgres) as instance:
        growth = Growth(folder, instance)
        for size in options.sizes:
            if options.grow or options.keep is None:
                made = growth.grow(size)
                told = {name: round(seconds, 1) for name, seconds in made.items()}
                print(f"{size} batches made: {told}", file=sys.stderr, flush=True)
            if not options.grow:
                found[str(size)] = growth.measure()
                print(size, found[str(size)], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure, and print a table and JSON."""
    options = arguments()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="growth-"))
    report: dict[str, Any] = {
        "database": "postgresql" if options.postgres else "sqlite",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
    }
    try:
        found = figures(options, folder)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.figures is not None:
        before = json.loads(options.figures.read_text()) if options.figures.exists() else {}
        found = before.get("sizes", {}) | found
    report["sizes"] = dict(sorted(found.items(), key=lambda item: int(item[0])))
    if options.figures is not None:
        options.figures.write_text(json.dumps(report))
    if options.picture is not None:
        options.picture.write_text(picture(report["sizes"]))
    for size, row in report["sizes"].items():
        print(f"{size:>8} " + ", ".join(f"{name} {s} ({cpu})" for name, (s, cpu) in row.items()))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
