"""Makes the small store of this release: `python tests/stores/make_store.py`, once for each release; older ones stay.

Its pictures come from a bucket, so that no path of a machine stands in it; what the bucket holds stands in `release_pictures.py`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from release_pictures import BUCKET, FIRST, SECOND, put_pictures  # noqa: E402 - from the folder above
from s3_server import ENVIRONMENT, s3_server  # noqa: E402 - from the folder above

from aion_dagster.cli import main  # noqa: E402 - after them

LEFT_OUT = ("dagster", "locks", "scratch", "exports", "reports")
"""What is made anew, or belongs to a machine."""

LEDGER = "ledger.sqlite"
KEPT_EXPORT = Path("exports", "main", "coco")


def make(place: Path) -> None:
    """The store, from two runs: the second one found more pictures, a changed one, and one gone."""
    with tempfile.TemporaryDirectory() as folder, s3_server() as endpoint:
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=endpoint)
        store = Path(folder) / "store"
        for pictures in (FIRST, SECOND):
            put_pictures(pictures)
            arguments = ["run", f"s3://{BUCKET}/", "--store", str(store), "--batch-size", "3"]
            status = main([*arguments, "--export", "coco", "--detect", "codes"])
            if status:
                raise SystemExit(status)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(store, place, ignore=_left_out(store))
        shutil.copytree(store / KEPT_EXPORT, place / KEPT_EXPORT)
        # This process still has the ledger open: part of it is in a file beside it.
        with closing(sqlite3.connect(store / LEDGER)) as source:
            (place / LEDGER).unlink()
            with closing(sqlite3.connect(place / LEDGER)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")


def _left_out(store: Path) -> object:
    def names(folder: str, found: list[str]) -> list[str]:
        hidden = [n for n in found if n.endswith(("-wal", "-shm"))]
        return [*hidden, *(n for n in found if Path(folder) == store and n in LEFT_OUT)]

    return names


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else HERE / version("aion_dagster"))
