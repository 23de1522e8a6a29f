"""What orchestration takes per batch: a run of the batch job less the work, on SQLite and on PostgreSQL.

usage: bookkeeping.py [--database sqlite|postgresql|both] [--small 100] [--large 500] [--rounds 5] [--large-rounds 3]

A run is the batch job of the product, in this process, in a real Dagster instance: the embedded one with SQLite, as the command
line has it, or one on a PostgreSQL server started here, which has the ledger, too. Its work is the decode pass over the batch's
pictures, timed where the assets call it in that very run. Everything else counts as orchestration:

- `computing`: descriptions (made of facts), text vectors (no model), labels matched
- `tables`: Parquet written by the IO manager, synced and renamed
- `reading`: manifest and tables read by later assets
- `ledger`: its transactions
- `dagster`: what is left: the run, its plan, steps, events, metadata, checks

`cpu` is the CPU time of this process for orchestration: where other work runs on the machine, it says more than seconds do.

Times do not overlap: what is called within one of these counts for the outer one. `bare` is the same pass by `bare_pass.py`,
with its tables, in the same rounds and with as many threads: run less bare is orchestration once more, measured apart.
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
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bare_pass
import pass_cost
import pictures
from grown_library import GrownLibrary, instance_at

from aion_dagster.ingest import ingest
from aion_dagster.planning import pass_settings
from aion_dagster.resources.sources import build_source

PARTS = ("pass", "computing", "tables", "reading", "ledger", "dagster")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--small", type=int, default=100, help="pictures of 640 × 480 in a batch")
    parser.add_argument("--large", type=int, default=500, help="pictures of 12 MP in a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large-rounds", type=int, default=3)
    return parser.parse_args()


class Clock:
    """Seconds of this thread within the functions that are watched, each moment counted once."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self._thread = threading.get_ident()
        self._busy = False

    def watched(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._timing(part):
                return function(*args, **kwargs)

        return timed

    def watched_block(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a context manager, its body included."""

        @wraps(function)
        @contextmanager
        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self._timing(part), function(*args, **kwargs) as value:
                yield value

        return timed

    @contextmanager
    def _timing(self, part: str) -> Iterator[None]:
        if self._busy or threading.get_ident() != self._thread:
            yield
            return
        self._busy = True
        begun, worked = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._busy = False
            self.seconds[part] += time.perf_counter() - begun
            self.cpu[part] += time.process_time() - worked


@contextmanager
def clock() -> Iterator[Clock]:
    """A clock on the parts of a run."""
    from aion_dagster.assets import descriptions, labels
    from aion_dagster.assets import pictures as picture_assets
    from aion_dagster.storage.ledger_database import Database
    from aion_dagster.storage.manifests import ManifestStore
    from aion_dagster.storage.staged import StagedTable
    from aion_dagster.storage.tables import TableStore

    made = Clock()
    with ExitStack() as stack:
        for target, name, part in (
            (picture_assets, "picture_tables", "pass"),
            (descriptions, "embed_descriptions", "computing"),
            (labels, "match_batch", "computing"),
            (labels, "batch_annotations", "computing"),
            (TableStore, "write", "tables"),
            (StagedTable, "commit", "tables"),
            (TableStore, "read", "reading"),
            (ManifestStore, "read", "reading"),
        ):
            stack.enter_context(
                patch.object(target, name, made.watched(part, getattr(target, name)))
            )
        backend = picture_backend()
        stack.enter_context(
            patch.object(backend, "describe", made.watched("computing", backend.describe))
        )
        for name in ("read", "write"):
            block = made.watched_block("ledger", getattr(Database, name))
            stack.enter_context(patch.object(Database, name, block))
        yield made


def picture_backend() -> Any:
    from aion_dagster.backends.local import LocalBackend

    return LocalBackend


class Bench:
    """A library on one kind of database, fed a batch at a time."""

    def __init__(self, folder: Path, instance: Any) -> None:
        self._folder = folder
        self._inbox = folder / "inbox"
        self._inbox.mkdir(parents=True, exist_ok=True)
        config = {
            "sources": [{"type": "folder", "path": str(self._inbox), "name": "inbox"}],
            "datasets": [],
            "batch_files": 100_000,
            "batch_bytes": 2**40,
            "text_model": "none",
        }
        self.library = GrownLibrary(folder, config, instance)
        self._rounds = 0

    def round(self, contents: list[bytes], count: int) -> dict[str, float]:
        """A batch of pictures that nobody has seen, by the bare pass and by a run; seconds by part."""
        self._rounds += 1
        for old in self._inbox.iterdir():
            old.unlink()
        for number in range(count):
            # Bytes after the end of a JPEG: another content for the store, the same picture.
            tail = f"{self._rounds}-{number}".encode()
            (self._inbox / f"{number:05}.jpg").write_bytes(contents[number % len(contents)] + tail)
        bare = self._bare()
        source = build_source(self.library.config.sources[0], max_bytes=2**30)
        (batch,) = ingest(
            source, self.library.store, batch_files=100_000, batch_bytes=2**40
        ).batches
        self.library.add_partitions([batch])
        worked = time.process_time()
        with clock() as made:
            seconds = self.library.run_batch(batch)
        worked = time.process_time() - worked
        parts = {part: made.seconds[part] for part in PARTS}
        parts["dagster"] = seconds - sum(parts.values())
        return {
            "run": seconds,
            "bare": bare,
            "orchestration": seconds - parts["pass"],
            "cpu": worked - made.cpu["pass"],
            **parts,
        }

    def _bare(self) -> float:
        state = self._folder / "bare"
        begun = time.perf_counter()
        threads = pass_settings(self.library.config).threads
        bare_pass.compute(list(bare_pass.inputs(self._inbox)), state, self._rounds, threads)
        seconds = time.perf_counter() - begun
        shutil.rmtree(state)
        return seconds


def medians(rounds: list[dict[str, float]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: round(statistics.median(r[name] for r in rounds), 3) for name in rounds[0]
    }
    found["less_bare"] = round(statistics.median(r["run"] - r["bare"] for r in rounds), 3)
    found["share"] = round(statistics.median(r["orchestration"] / r["pass"] for r in rounds), 4)
    found["orchestration_of_rounds"] = [round(r["orchestration"], 2) for r in rounds]
    return found


def measured(options: argparse.Namespace, database: str, folder: Path) -> dict[str, Any]:
    """Everything on one kind of database."""
    photographs = pictures.originals()
    small = pass_cost.vga(photographs)
    report: dict[str, Any] = {}
    with instance_at(folder, postgres=database == "postgresql") as instance:
        bench = Bench(folder, instance)
        bench.round(small, 2)  # what the first run of a process pays alone
        one = [bench.round(small, 1) for _ in range(options.rounds)]
        report["one picture of 640 × 480"] = medians(one)
        some = [bench.round(small, options.small) for _ in range(options.rounds)]
        report[f"{options.small} of 640 × 480"] = medians(some)
        if options.large:
            large = pass_cost.twelve_megapixels(photographs)
            many = [bench.round(large, options.large) for _ in range(options.large_rounds)]
            report[f"{options.large} of 12 MP"] = medians(many)
    return report


def main() -> None:
    """Measure, and print a table and JSON."""
    options = arguments()
    both = ["sqlite", "postgresql"]
    report: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
    }
    for database in both if options.database == "both" else [options.database]:
        folder = Path(tempfile.mkdtemp(prefix="bookkeeping-"))
        try:
            report[database] = measured(options, database, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        names = ("run", "bare", "less_bare", "orchestration", "share", "cpu", *PARTS)
        print(f"{database:>26} " + " ".join(f"{n:>13}" for n in names))
        for what, row in report[database].items():
            print(f"{what:>26} " + " ".join(f"{row[n]:>13.3f}" for n in names))
        sys.stdout.flush()
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
