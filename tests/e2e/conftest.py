"""A small real library: pictures, labels, and the command line run on them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from aionvision_server.fixtures import aionvision, aionvision_process
from lived_in_store import lived_in
from small_library import Run, coco, draw_picture

from aion_dagster.cli import main

__all__ = ["aionvision", "aionvision_process", "lived_in"]


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in two folders."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(12):
        draw_picture(folder / ("a" if i % 2 else "b") / f"picture {i:02}.jpg", i)
    return folder


@pytest.fixture
def pictures(picture_folder: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(picture_folder, tmp_path / "pictures"))


@pytest.fixture
def labels(pictures: Path, tmp_path: Path) -> Path:
    """Boxes on eight of the pictures, two more without boxes, two that no label names."""
    names = sorted(p.relative_to(pictures).as_posix() for p in pictures.rglob("*.jpg"))[:10]
    boxes = [(i, "cat" if i % 3 else "dog", [10.0 + i, 20.0, 50.0, 40.0]) for i in range(8)]
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(coco([(n, 320, 240) for n in names], boxes)))
    return path


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`aion-dagster run ARGUMENTS --store … --json`: its JSON with exit status and output added."""

    def call(
        *arguments: object, store: Path | str | None = None, status: int = 0
    ) -> dict[str, Any]:
        place = ["--store", str(store or tmp_path / "store"), "--json"]
        code = main(["run", *map(str, arguments), *place])
        out, err = capsys.readouterr()
        assert code == status, f"exit {code}, not {status}\n{out}\n{err}"
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return {**result, "output": out, "problems": err}

    return call
