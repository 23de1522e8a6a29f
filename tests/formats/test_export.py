"""What every export has in common."""

from __future__ import annotations

import csv
import json

import pytest
import simplejpeg
from PIL import Image

from aion_dagster.errors import ExportError
from aion_dagster.formats.export import (
    FORMATS,
    CocoOptions,
    YoloOptions,
    count_export,
    write_export,
)
from aion_dagster.values import Loss

from .factory import Builder, empty, photo, two_pictures


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def turned(tmp_path, size: tuple[int, int] = (64, 48)) -> Builder:
    builder = two_pictures(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photo(tmp_path / "turned.jpg", size[::-1], seed=9, exif=exif.tobytes())
    image = builder.image("turned.jpg", path=path, size=size, orientation=6)
    builder.box(image, (1, 1, 8, 8), text="=1")
    return builder


@pytest.mark.parametrize("name", FORMATS)
def test_rule_25_the_same_version_gives_the_same_bytes(tmp_path, name):
    builder = turned(tmp_path)
    for folder in ("one", "two"):
        write_export(name, builder.dataset(), empty(tmp_path / folder), builder.pictures())
    one = tree(tmp_path / "one")
    assert one == tree(tmp_path / "two")
    assert all(str(tmp_path).encode() not in data for data in one.values())


@pytest.mark.parametrize("name", FORMATS)
def test_rule_26_losses_of_dataset_and_export_are_reported_with_ids(tmp_path, name):
    builder = turned(tmp_path)
    builder.box(builder.images[0]["image_id"], (1, 1, 0, 8))
    dataset = builder.dataset(losses=(Loss("clipped", "=a17", "reached\nout"),))
    report = write_export(name, dataset, empty(tmp_path / "out"), builder.pictures())
    with (tmp_path / "out/losses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["stage", "kind", "subject", "detail"]
    assert rows[1] == ["dataset", "clipped", "'=a17", "reached\nout"]
    assert ["export", "dropped", "a0003"] in [row[:3] for row in rows]
    assert len(rows) == 2 + len(report.losses)
    facts = json.loads((tmp_path / "out/export.json").read_text())
    assert facts["counts"]["losses"] == len(rows) - 1
    assert (facts["format"], facts["dataset"], facts["version"]) == (name, "pets", "f00d")
    readme = (tmp_path / "out/README.md").read_text()
    assert ("hard links" in readme) == (name not in ("csv", "parquet", "webdataset"))


@pytest.mark.parametrize("name", FORMATS)
def test_the_report_is_what_stands_on_disk(tmp_path, name):
    builder = turned(tmp_path)
    seen = []
    report = write_export(
        name, builder.dataset(), empty(tmp_path / "out"), builder.pictures(), progress=seen.append
    )
    counts = count_export(name, tmp_path / "out")
    assert (counts.images, counts.annotations, counts.categories, counts.splits) == (
        report.images,
        report.annotations,
        report.categories,
        report.splits,
    )
    assert sum(seen) == report.images == 3


def test_a_turned_jpeg_of_broken_blocks_is_encoded_without_chroma_subsampling(tmp_path):
    builder = turned(tmp_path, (60, 44))
    write_export("coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    data = (tmp_path / "out/images/train/turned.jpg").read_bytes()
    height, width, _, subsampling = simplejpeg.decode_jpeg_header(data)
    assert (width, height, subsampling) == (60, 44, "444")


def test_what_cannot_be_exported_is_refused_with_a_reason(tmp_path):
    builder = two_pictures(tmp_path)
    dataset, pictures = builder.dataset(), builder.pictures()
    with pytest.raises(ExportError, match="unknown export format 'tfrecord'"):
        write_export("tfrecord", dataset, empty(tmp_path / "a"), pictures)
    with pytest.raises(ExportError, match="YoloOptions are no options"):
        write_export("coco", dataset, empty(tmp_path / "b"), pictures, YoloOptions())
    with pytest.raises(ExportError, match="empty folder"):
        write_export("coco", dataset, tmp_path / "originals", pictures)
    with pytest.raises(ExportError, match="empty folder"):
        write_export("coco", dataset, tmp_path / "not there", pictures, CocoOptions())
    builder.image("odd.jpg", split="holdout")
    with pytest.raises(ExportError, match="split 'holdout'"):
        write_export("coco", builder.dataset(), empty(tmp_path / "c"), pictures)


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_export_is_not_counted(tmp_path, name):
    builder = two_pictures(tmp_path)
    write_export(name, builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    spoiled = {
        "coco": "annotations/instances_train.json",
        "yolo": "data.yaml",
        "voc": "Annotations/b.xml",
        "csv": "annotations.csv",
        "parquet": "annotations.parquet",
        "imagefolder": "train/metadata.parquet",
        "webdataset": "train-000000.tar",
    }[name]
    (tmp_path / "out" / spoiled).write_text("{")
    with pytest.raises(ExportError, match="out"):
        count_export(name, tmp_path / "out")
    with pytest.raises(ExportError, match="nothing"):
        count_export(name, empty(tmp_path / "nothing"))
