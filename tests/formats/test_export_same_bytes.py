"""The same version gives the same bytes wherever, whenever and in whatever order it is made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aion_dagster.formats.export import FORMATS

PROGRAM = """
import sys
from pathlib import Path
from formats.versions_of_an_export import builder_of
from aion_dagster.formats.export import FORMATS, write_export
from aion_dagster.formats.packing import archived
pictures, out, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
builder = builder_of(pictures, 0, seed=seed)
for name in FORMATS:
    folder = out / name
    folder.mkdir(parents=True)
    write_export(name, builder.dataset(), folder, builder.pictures())
    packed = out / f"{name}.packed"
    packed.mkdir()
    archived(folder, packed, name, "tar" if seed % 2 else "zip") if name == "yolo" else None
"""


def made(tmp_path: Path, place: str, **environment: str) -> dict[str, str]:
    """Digests of all files of all formats, made by a process of its own below a folder of its own."""
    seed = environment.pop("seed")
    root = tmp_path / place
    paths = [str(Path(__file__).parents[1]), *sys.path]
    command = [sys.executable, "-c", PROGRAM, str(root / "pictures"), str(root / "out"), seed]
    own = {"PYTHONPATH": os.pathsep.join(paths), **environment}
    done = subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    files = sorted(p for p in (root / "out").rglob("*") if p.is_file() and ".packed" not in str(p))
    return {
        p.relative_to(root / "out").as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Two machines' worth of different paths, orders of rows, time zones, languages and hash seeds."""
    folder = tmp_path_factory.mktemp("machines")
    return [
        made(folder, "a", seed="0", TZ="Pacific/Kiritimati", LC_ALL="C", PYTHONHASHSEED="1"),
        made(folder, "some where/é/b", seed="3", TZ="America/Anchorage", LC_ALL="C.UTF-8", PYTHONHASHSEED="2"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_rule_25_two_machines_write_the_same_bytes(machines, name):
    first, second = (
        {k: v for k, v in files.items() if k.startswith(f"{name}/")} for files in machines
    )
    assert len(first) > 4
    assert first == second
