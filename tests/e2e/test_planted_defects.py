"""A library full of planted defects: in every export each comes out right or stands in the loss report."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO
from small_library import draw_picture, tree

PAIRS = 50
SIZE = (96, 72)
FORMATS = "coco,yolo,voc,csv,parquet,imagefolder,webdataset"
ODD_NAMES = ("é 图 😀.jpg", "=cmd|calc.jpg", "@sum.png", "two.dots.v2.jpg", " space .jpg")
RLE = {"size": [72, 96], "counts": [0, 72 * 10, 72 * 86]}


def plant(folder: Path) -> Path:
    """Pictures below `folder/pictures` and the labels of them."""
    pictures = folder / "pictures"
    names: list[str] = []
    for i in range(PAIRS):
        draw_picture(pictures / f"near/{i:02}.jpg", i, SIZE)
        with Image.open(pictures / f"near/{i:02}.jpg") as picture:
            picture.save(pictures / f"near/{i:02} again.jpg", quality=70)
        names += [f"near/{i:02}.jpg", f"near/{i:02} again.jpg"]
    collisions = ("p.jpg", "p.png", "Q.jpg", "q.jpg", "images/r.jpg", "other/p.jpg")
    for i, name in enumerate((*collisions, *ODD_NAMES)):
        draw_picture(pictures / name, 100 + i, SIZE)
        names.append(name)
    for i in range(16):
        draw_picture(pictures / "plain.jpg", 200 + i, SIZE)
        exif = Image.Exif()
        exif[0x0112] = i % 8 + 1
        exif[0x010F] = "SECRET"
        with Image.open(pictures / "plain.jpg") as picture:
            (pictures / "turned").mkdir(exist_ok=True)
            picture.save(pictures / f"turned/{i:02}.jpg", quality=90, exif=exif.tobytes())
        (pictures / "plain.jpg").unlink()
        names.append(f"turned/{i:02}.jpg")
    (folder / "labels.json").write_text(json.dumps(labels(names)))
    return pictures


def labels(names: list[str]) -> dict[str, Any]:
    """COCO with ids from 0 and ids that are strings, boxes that are none, crowds, and pictures without boxes."""
    images = []
    for i, name in enumerate(names):
        size = SIZE[::-1] if name.startswith("turned/") and int(name[7:9]) % 8 >= 4 else SIZE
        number: int | str = str(i) if i % 5 == 4 else i
        images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
    annotations = []
    for i in range(len(names)):
        if i % 10 == 9:
            continue  # a picture without objects
        box = [5.0 + i % 7, 6.0, 20.0, 30.0]
        annotations.append(annotation(len(annotations), i, i % 2, box))
    bad = ([float("nan"), 1.0, 5.0, 5.0], [1.0, 1.0, float("inf"), 5.0], [1.0, 1.0, 0.0, 5.0])
    annotations += [annotation(len(annotations) + k, k, 0, box) for k, box in enumerate(bad)]
    crowd = annotation(len(annotations), 0, 1, [0.0, 0.0, 10.0, 72.0])
    annotations.append(crowd | {"iscrowd": 1, "segmentation": RLE})
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 0, "name": "=class"}, {"id": 1, "name": "yes"}],
    }


def annotation(number: int, image: int, category: int, box: list[float]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": str(image) if image % 5 == 4 else image,
        "category_id": category,
        "bbox": box,
        "area": 1.0,
        "iscrowd": 0,
    }


def exported(folder: Path, **environment: str) -> Path:
    """The exports of planted pictures, made by a process of its own."""
    pictures = plant(folder)
    command = [
        *(sys.executable, "-m", "aion_dagster", "run", str(pictures), "--json"),
        *("--store", str(folder / "store"), "--labels", str(folder / "labels.json")),
        *("--export", FORMATS),
    ]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "store/exports/main"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("planted"), TZ="Asia/Tokyo")


def losses(export: Path) -> list[dict[str, str]]:
    with (export / "losses.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def instances(exports: Path) -> dict[str, COCO]:
    found = {}
    for path in sorted((exports / "coco/annotations").glob("instances_*.json")):
        text = path.read_text("utf-8")
        assert "NaN" not in text
        assert "Infinity" not in text
        with contextlib.redirect_stdout(io.StringIO()):
            found[path.stem.removeprefix("instances_")] = COCO(str(path))
    return found


def test_near_duplicates_never_lie_in_two_splits(exports: Path) -> None:
    split_of = {
        image["file_name"]: split
        for split, coco in instances(exports).items()
        for image in coco.dataset["images"]
    }
    pairs = [(f"near/{i:02}.jpg", f"near/{i:02} again.jpg") for i in range(PAIRS)]
    assert all(split_of[a] == split_of[b] for a, b in pairs)
    assert set(split_of.values()) == {"train", "val", "test"}


def test_rule_21_no_picture_or_label_is_lost_to_a_colliding_name(exports: Path) -> None:
    total = 2 * PAIRS + 6 + len(ODD_NAMES) + 16
    for name, root in (("coco", "images"), ("yolo", "images"), ("voc", "JPEGImages")):
        files = [p for p in (exports / name / root).rglob("*") if p.is_file()]
        below = [p.relative_to(exports / name / root).as_posix() for p in files]
        stems = {n.rpartition(".")[0].casefold() for n in below}
        assert len(files) == len(stems) == total, name
    assert len(list((exports / "yolo/labels").rglob("*.txt"))) == total
    assert len(list((exports / "voc/Annotations").rglob("*.xml"))) == total
    renamed = {row["subject"] for row in losses(exports / "coco") if row["kind"] == "renamed"}
    assert {"p.jpg", "p.png", "Q.jpg", "q.jpg", "images/r.jpg"} <= renamed
    with (exports / "coco/pictures.csv").open(encoding="utf-8", newline="") as file:
        names = {row["own_names"] for row in csv.DictReader(file)}
    assert {"p.jpg", "p.png", "Q.jpg", "q.jpg", "images/r.jpg", "'=cmd|calc.jpg"} <= names


def test_boxes_that_are_none_are_reported_and_ids_count_from_one(exports: Path) -> None:
    found = instances(exports)
    ids = [a["id"] for coco in found.values() for a in coco.dataset["annotations"]]
    images = 2 * PAIRS + 6 + len(ODD_NAMES) + 16
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert len(ids) == images - images // 10 + 1  # all but those without objects, and the crowd
    for coco in found.values():
        assert sorted(c["id"] for c in coco.dataset["categories"]) == [1, 2]
        assert {i["id"] for i in coco.dataset["images"]} >= {
            a["image_id"] for a in coco.dataset["annotations"]
        }
    told = [row for row in losses(exports / "coco") if row["stage"] == "dataset"]
    assert sum("bbox" in row["detail"] or "box" in row["detail"] for row in told) >= 3


def test_a_crowd_keeps_its_mask_in_coco_and_is_reported_elsewhere(exports: Path) -> None:
    crowds = [
        (coco, a)
        for coco in instances(exports).values()
        for a in coco.dataset["annotations"]
        if a["iscrowd"]
    ]
    ((coco, crowd),) = crowds
    assert coco.annToMask(crowd).sum() == crowd["area"] == 720
    (dropped,) = [row for row in losses(exports / "yolo") if "crowd" in row["detail"]]
    assert dropped["kind"] == "dropped"
    (difficult,) = [row for row in losses(exports / "voc") if "crowd" in row["detail"]]
    assert difficult["kind"] == "converted"


def test_rule_22_turned_pictures_are_upright_without_their_metadata(exports: Path) -> None:
    seen = 0
    for split, coco in instances(exports).items():
        for image in coco.dataset["images"]:
            path = exports / "coco/images" / split / image["file_name"]
            assert b"SECRET" not in path.read_bytes()
            with Image.open(path) as picture:
                assert picture.size == (image["width"], image["height"])
                assert picture.getexif().get(0x0112, 1) == 1
            seen += image["file_name"].startswith("turned/")
    assert seen == 16
    lossy = {
        row["subject"] for row in losses(exports / "coco") if "turned upright" in row["detail"]
    }
    with (exports / "coco/pictures.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["own_names"]: row["changes"] for row in csv.DictReader(file)}
    turned = {name for name, changes in listed.items() if "turned upright" in changes}
    assert len(turned) == 14
    assert {name for name in turned if "without loss" not in listed[name]} == lossy
    facts = json.loads((exports / "coco/export.json").read_text())
    assert facts["counts"].get("turned_without_loss", 0) == len(turned - lossy)


def test_names_of_classes_and_files_survive_and_no_spreadsheet_runs_them(exports: Path) -> None:
    assert yaml.safe_load((exports / "yolo/data.yaml").read_text())["names"] == {
        0: "=class",
        1: "yes",
    }
    listed = {i["file_name"] for c in instances(exports).values() for i in c.dataset["images"]}
    assert {"é 图 😀.jpg", "=cmd|calc.jpg", "@sum.png", "two.dots.v2.jpg"} <= listed
    for path in exports.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert not any(c[:1] in tuple("=+-@\t\r") for row in csv.reader(file) for c in row if c)


def test_rule_25_another_place_and_time_zone_give_the_same_bytes(
    exports: Path, tmp_path: Path
) -> None:
    other = exported(tmp_path / "else where", TZ="America/Anchorage", LC_ALL="C")
    for name in FORMATS.split(","):
        mine, theirs = tree(exports / name), tree(other / name)
        assert mine.keys() == theirs.keys()
        assert [n for n in mine if mine[n] != theirs[n]] == []
