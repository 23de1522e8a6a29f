"""A small real library: pictures, labels, and the command line run on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from aion_dagster.cli import main

Run = Callable[..., dict[str, Any]]


def draw_picture(path: Path, seed: int, size: tuple[int, int] = (320, 240)) -> None:
    """A picture with large soft shapes, different for each seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        x, y = int(rng.integers(0, size[0] - 60)), int(rng.integers(0, size[1] - 60))
        color = tuple(int(c) for c in rng.integers(0, 255, 3))
        pen.ellipse((x, y, x + 50, y + 50), fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=90)


def coco(
    images: list[tuple[str, int, int]], boxes: list[tuple[int, str, list[float]]]
) -> dict[str, Any]:
    """A COCO document; boxes name their picture by its place in `images`."""
    names = list(dict.fromkeys([category for _, category, _ in boxes] + ["never drawn"]))
    return {
        "images": [
            {"id": i, "file_name": n, "width": w, "height": h} for i, (n, w, h) in enumerate(images)
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": image,
                "category_id": names.index(category) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for i, (image, category, box) in enumerate(boxes)
        ],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(names)],
    }


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

    def call(*arguments: object, store: Path | None = None, status: int = 0) -> dict[str, Any]:
        place = ["--store", str(store or tmp_path / "store"), "--json"]
        code = main(["run", *map(str, arguments), *place])
        out, err = capsys.readouterr()
        assert code == status, f"exit {code}, not {status}\n{out}\n{err}"
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return {**result, "output": out, "problems": err}

    return call


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
