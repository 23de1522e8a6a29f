"""A store of many small batches, in which files changed, were copied, came back and went."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from contextlib import closing, redirect_stdout
from pathlib import Path

import pytest
from small_library import coco, draw_picture

from aion_dagster.cli import main


def run_on(store: Path, *arguments: object) -> None:
    """`aion-dagster run`, whatever it says."""
    with redirect_stdout(io.StringIO()):
        assert main(["run", *map(str, arguments), "--store", str(store)]) == 0


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a store; never changed, tests copy it."""
    folder = tmp_path_factory.mktemp("lived")
    pictures, store = folder / "pictures", folder / "store"
    for i in range(8):
        draw_picture(pictures / f"{i}.jpg", i)
    (pictures / "notes.txt").write_text("Cats sleep. Dogs do not.")
    boxes = [(i, "cat" if i % 3 else "dog", [10.0 + i, 20.0, 50.0, 40.0]) for i in range(6)]
    names = [(f"{i}.jpg", 320, 240) for i in range(7)]
    (folder / "labels.json").write_text(json.dumps(coco(names, boxes)))
    arguments = ["--labels", folder / "labels.json", "--documents", "txt", "--export", "coco,csv"]
    run_on(store, pictures, *arguments, "--batch-size", 2)
    first = pictures / "1.jpg"
    before = first.read_bytes(), first.stat()
    draw_picture(first, 77)
    shutil.copy(pictures / "2.jpg", pictures / "copy of 2.jpg")
    os.utime(pictures / "4.jpg", ns=(1, 1))
    (pictures / "0.jpg").unlink()
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    run_on(store)
    first.write_bytes(before[0])
    os.utime(first, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
    (pictures / "copy of notes.txt").write_text("Cats sleep. Dogs do not.")
    (pictures / "3.jpg").unlink()
    run_on(store)
    with closing(sqlite3.connect(store / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return store
