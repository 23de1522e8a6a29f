"""An export that is killed at any moment leaves the old one or the new one, never a mixture."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aion_dagster.formats.export import FORMATS, count_export, write_export
from aion_dagster.storage.exports import ExportStore

from .factory import empty
from .versions_of_an_export import builder_of

IS_SOAK = os.environ.get("AION_TEST_TIER") == "soak"
KILLS = 20 if IS_SOAK else 3
PROGRAM = Path(__file__).with_name("killed_export.py")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def begun(pictures: Path, root: Path, name: str, number: int) -> subprocess.Popen:
    command = [sys.executable, str(PROGRAM), str(pictures), str(root), name, str(number)]
    paths = [str(PROGRAM.parents[1]), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def until(process: subprocess.Popen, word: str) -> float:
    """Seconds until the process says a word."""
    start = time.perf_counter()
    for line in process.stdout:
        if line.strip() == word:
            break
    return time.perf_counter() - start


@pytest.mark.parametrize("name", sorted(FORMATS) if IS_SOAK else ["coco", "yolo"])
def test_rule_30_a_killed_export_leaves_the_old_one_or_the_new_one(tmp_path, name):
    pictures, root = tmp_path / "pictures", tmp_path / "exports"
    wanted = []
    for number in (0, 1):
        builder = builder_of(pictures, number)
        write_export(name, builder.dataset(), empty(tmp_path / str(number)), builder.pictures())
        wanted.append(tree(tmp_path / str(number)))
    assert wanted[0] != wanted[1]
    first = begun(pictures, root, name, 0)
    until(first, "writing")
    took = until(first, "done")
    assert first.wait() == 0
    current, seen = 0, []
    moments = random.Random(7)
    for kill in range(KILLS):
        process = begun(pictures, root, name, 1 - current)
        until(process, ("writing", "swapping")[kill % 2])
        time.sleep(moments.uniform(0, took if kill % 2 == 0 else 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = tree(root / "pets" / name)
        assert found in wanted
        current = wanted.index(found)
        seen.append(current)
        assert count_export(name, root / "pets" / name).images == 150 + current
    ExportStore(root).sweep()
    assert [p.name for p in (root / "pets").iterdir()] == [name]
    last = begun(pictures, root, name, 1 - current)
    until(last, "done")
    assert last.wait() == 0
    assert tree(root / "pets" / name) == wanted[1 - current]
