"""The picture pass alone: our own computation on a folder of files, without any orchestration.

    python benchmarks/bare_pass.py PICTURES STATE [--threads 2] [--batch 500]

Writes the tables that `aion-dagster run` writes for the same files, one Parquet file per table and
batch, through `run_pass` and pyarrow only. What a run takes beyond this is what manifests, ledger,
Dagster, the library and the checks cost. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from aion_dagster.compute.picture_pass import PARTS, PassSettings, PictureInput, run_pass
from aion_dagster.values import FileRef


def inputs(folder: Path) -> Iterator[PictureInput]:
    """The files of a folder in the order of their names."""
    for file in sorted(folder.iterdir()):
        status = file.stat()
        ref = FileRef(
            source="bench",
            uri=str(file),
            name=file.name,
            version=f"{status.st_size}-{status.st_mtime_ns}",
            size_bytes=status.st_size,
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )
        yield PictureInput(ref, partial(file.read_bytes))


def compute(files: list[PictureInput], state: Path, batch: int, threads: int) -> None:
    """Compute one batch and write its tables chunk by chunk, so that memory stays bounded."""
    writers: dict[str, pq.ParquetWriter] = {}
    try:
        for chunk in run_pass(files, PassSettings(threads=threads)):
            for name in sorted(PARTS):
                table = getattr(chunk, name)
                if name not in writers:
                    target = state / name / f"batch={batch}" / "part.parquet"
                    target.parent.mkdir(parents=True)
                    writers[name] = pq.ParquetWriter(target, table.schema)
                writers[name].write_table(table)
    finally:
        for writer in writers.values():
            writer.close()


def main() -> int:
    """Run once and print the seconds, imports excluded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=500, help="files per batch (default 500)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    files = list(inputs(arguments.pictures))
    for start in range(0, len(files), arguments.batch):
        some = files[start : start + arguments.batch]
        compute(some, arguments.state, start // arguments.batch, arguments.threads)
    seconds = time.perf_counter() - started
    print(json.dumps({"files": len(files), "seconds": round(seconds, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
