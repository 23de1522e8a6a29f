"""Seconds and memory that gathering the library takes, by the number of files.

usage: library_rows.py [--rows 100000,1000000]

Rows as of pictures in batches of 500, each content once, all files there; each number in a fresh process. `peak` is the largest
resident set, `before` that of making the rows, which Python does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import pyarrow as pa

from aion_dagster import identity, schemas
from aion_dagster.curation.library import DELETED_FILE, FILE_VERSION, build_library


def images(count: int) -> pa.Table:
    """Rows of schema `IMAGES` with their batch."""
    sha256s = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(count)]
    names = [f"{i // 1000:05}/{i:08}.jpg" for i in range(count)]
    rows: dict[str, object] = {
        name: pa.nulls(count, schemas.IMAGES.field(name).type) for name in schemas.IMAGES.names
    }
    rows |= {
        "source": ["pics"] * count,
        "uri": [f"s3://million/{name}" for name in names],
        "name": names,
        "version": [f"{sha[:32]}-250000" for sha in sha256s],
        "image_id": [identity.image_id(sha) for sha in sha256s],
        "sha256": sha256s,
        "size_bytes": [250_000] * count,
        "modified_at": [datetime(2026, 1, 2, tzinfo=UTC)] * count,
        "width": [4000] * count,
        "height": [3000] * count,
        "phash": [sha[:16] for sha in sha256s],
        "status": ["ok"] * count,
    }
    table = pa.table(rows, schema=schemas.IMAGES)
    return table.append_column("batch", pa.array([f"pics-{i // 500}" for i in range(count)]))


def gather(count: int, pipe: Connection) -> None:
    """Build the library once."""
    rows = images(count)
    current, none = rows.select(FILE_VERSION.names), DELETED_FILE.empty_table()
    order = {f"pics-{i}": i for i in range(-(-count // 500))}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    found = build_library(rows, order, current, none)
    seconds = time.perf_counter() - begun
    assert found.table.num_rows == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(
        {
            "rows": count,
            "seconds": round(seconds, 2),
            "rows_mib": round(rows.nbytes / 2**20),
            "before_mib": round(before / 1024),
            "peak_mib": round(peak / 1024),
        }
    )


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="100000,1000000")
    report = []
    for count in map(int, parser.parse_args().rows.split(",")):
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=gather, args=(count, there))
        process.start()
        report.append(here.recv())
        process.join()
        print(report[-1], flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
