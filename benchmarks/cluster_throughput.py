"""Pictures per second of a cluster on this machine, with one worker and with two.

usage: cluster_throughput.py [--pictures 3000] [--batch 250] [--workers 1,2]

The cluster of the tests: PostgreSQL, Redis and an S3 server (moto's) over loopback, a Dagster daemon with the settings of
`deploy/`, Celery workers with one slot each. Pictures of 640 × 480 from a folder, all tables but text and codes, into a store in
the bucket. From the start of the first run of a batch to the end of the last one, as Dagster has noted them: what a run takes
to be dequeued, sent and begun counts, the start of servers and the first look at the folder do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pass_cost
import pictures

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=3_000)
    parser.add_argument("--batch", type=int, default=250, help="pictures in a batch")
    parser.add_argument("--workers", default="1,2")
    return parser.parse_args()


@contextmanager
def inbox(count: int) -> Iterator[Path]:
    """A folder of pictures with different bytes; a few photographs, over and over."""
    folder = Path(tempfile.mkdtemp(prefix="throughput-"))
    try:
        contents = pass_cost.vga(pictures.originals())
        for number in range(count):
            place = folder / f"{number:06}.jpg"
            place.write_bytes(contents[number % len(contents)] + str(number).encode())
            os.utime(place, (1_700_000_000, 1_700_000_000))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def throughput(endpoint: str, folder: Path, options: argparse.Namespace, workers: int) -> Any:
    """A cluster from its start to the end of the last batch."""
    import boto3
    import dagster as dg
    from cluster import cluster, until
    from s3_server import ENVIRONMENT

    bucket = f"throughput-{workers}"
    os.environ |= ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
    boto3.client("s3").create_bucket(Bucket=bucket)
    batches = -(-options.pictures // options.batch)
    with cluster(endpoint, bucket, workers) as made:
        made.configure(
            {
                "sources": [str(folder)],
                "text_model": "none",
                "batch_files": options.batch,
                "scan_seconds": 5,
                "datasets": [],
            }
        )
        made.start()
        with made.instance() as instance:

            def done() -> list[Any]:
                wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])
                records = instance.get_run_records(wanted)
                return [r for r in records if "dagster/partition" in r.dagster_run.tags]

            try:
                until(lambda: len(done()) >= batches, 1200, "not every batch is done")
            except AssertionError as error:
                raise SystemExit(f"{error}\n{made.logs()}") from None
            records = done()
    begun = min(r.start_time for r in records)
    ended = max(r.end_time for r in records)
    runs = sorted(r.end_time - r.start_time for r in records)
    return {
        "workers": workers,
        "batches": len(records),
        "seconds": round(ended - begun, 1),
        "pictures_per_second": round(options.pictures / (ended - begun), 1),
        "median_run_seconds": round(runs[len(runs) // 2], 1),
    }


def main() -> None:
    """Measure, and print a table and JSON."""
    from s3_server import s3_server

    options = arguments()
    report: dict[str, Any] = {
        "pictures": options.pictures,
        "batch": options.batch,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": round(os.getloadavg()[0], 1),
        "clusters": [],
    }
    with inbox(options.pictures) as folder, s3_server() as endpoint:
        for workers in map(int, options.workers.split(",")):
            found = throughput(endpoint, folder, options, workers)
            report["clusters"].append(found)
            print(
                f"{workers} workers: {found['pictures_per_second']} pictures per second, {found['seconds']} s for "
                f"{found['batches']} batches, a run {found['median_run_seconds']} s",
                flush=True,
            )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
