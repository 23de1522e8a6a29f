"""The demonstration photographs and their labels are what the examples promise."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def collect(target: Path) -> str:
    command = [sys.executable, str(EXAMPLES / "demo_photos.py"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "is not installed" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    stats = {p.name: p.stat() for p in folder.iterdir()}
    return {name: (s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats.items()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "photos"
    collect(folder)
    return folder


@pytest.fixture(scope="module")
def labels() -> dict[str, Any]:
    return json.loads((EXAMPLES / "labels.json").read_text())


def test_collecting_again_touches_no_file(photos: Path) -> None:
    before = state(photos)
    assert "0 photographs written" in collect(photos)
    assert state(photos) == before


def test_every_copy_has_the_same_modification_time_everywhere(photos: Path) -> None:
    assert {p.stat().st_mtime for p in photos.iterdir()} == {1767225600.0}  # 2026-01-01 UTC


def test_a_damaged_copy_is_replaced(photos: Path, tmp_path: Path) -> None:
    good = (photos / "coffee.png").read_bytes()
    (tmp_path / "coffee.png").write_bytes(good[:1000])
    collect(tmp_path)
    assert (tmp_path / "coffee.png").read_bytes() == good
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in photos.iterdir()}


def test_labels_fit_the_photographs(photos: Path, labels: dict[str, Any]) -> None:
    for image in labels["images"]:
        with Image.open(photos / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])


def test_some_photographs_are_negatives_and_some_are_unlabelled(
    photos: Path, labels: dict[str, Any]
) -> None:
    boxes = Counter(a["image_id"] for a in labels["annotations"])
    negatives = {i["file_name"] for i in labels["images"] if not boxes[i["id"]]}
    unlabelled = {p.name for p in photos.iterdir()} - {i["file_name"] for i in labels["images"]}
    assert negatives == {"grass.png", "moon.png"}
    assert len(unlabelled) == 8


def test_ids_count_from_one_and_boxes_lie_inside_their_pictures(labels: dict[str, Any]) -> None:
    for kind in ("images", "annotations", "categories"):
        ids = [entry["id"] for entry in labels[kind]]
        assert ids == list(range(1, len(ids) + 1))
    images = {i["id"]: i for i in labels["images"]}
    for annotation in labels["annotations"]:
        image, (x, y, w, h) = images[annotation["image_id"]], annotation["bbox"]
        assert x >= 0
        assert y >= 0
        assert w > 0
        assert h > 0
        assert x + w <= image["width"]
        assert y + h <= image["height"]
        assert annotation["area"] == pytest.approx(w * h, abs=0.01)
        assert annotation["iscrowd"] == 0


def test_one_category_has_no_box(labels: dict[str, Any]) -> None:
    used = {a["category_id"] for a in labels["annotations"]}
    assert [c["name"] for c in labels["categories"] if c["id"] not in used] == ["dog"]
