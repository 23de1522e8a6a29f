"""Pascal VOC and CSV exports."""

from __future__ import annotations

import csv
from xml.etree import ElementTree as ET

import pytest

from aion_dagster.formats.export import CsvOptions, VocOptions, count_export, write_export
from aion_dagster.formats.labels import read_labels
from aion_dagster.values import Category

from .factory import Builder, empty, two_pictures


def exported(builder: Builder, folder, options=None):
    name = "csv" if isinstance(options, CsvOptions) else "voc"
    return write_export(name, builder.dataset(), empty(folder), builder.pictures(), options)


def corners(path):
    return [
        [item.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
        for item in ET.parse(path).getroot().findall("object")
    ]


def test_rule_19_devkit_coordinates_are_one_based_and_inclusive(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg", size=(200, 100))
    for box in ((0, 0, 200, 100), (10, 10, 50, 40), (1.5, 1.5, 18.25, 8.4), (33.3, 0, 66.7, 1)):
        builder.box(image, box)
    exported(builder, tmp_path / "out")
    assert corners(tmp_path / "out/Annotations/a.xml") == [
        ["1", "1", "200", "100"],
        ["11", "11", "60", "50"],
        ["2", "2", "20", "10"],
        ["34", "1", "100", "1"],
    ]
    assert "counted from 1" in (tmp_path / "out/README.md").read_text()


def test_rule_19_float0_loses_nothing(tmp_path):
    builder = Builder(tmp_path)
    builder.box(builder.image("a.jpg"), (1.1, 2.0, 3.3, 4.0))
    exported(builder, tmp_path / "out", VocOptions(coordinates="float0"))
    assert corners(tmp_path / "out/Annotations/a.xml") == [["1.1", "2.0", "4.4", "6.0"]]
    assert "0-based" in (tmp_path / "out/README.md").read_text()


def test_rule_20_the_tree_lists_splits_labels_and_pictures_without_objects(tmp_path):
    builder = two_pictures(tmp_path)
    builder.categories = tuple(
        Category(n, "") for n in ("cat", "dog", "a<&b>", "x:y", "x_y", "background", "bell\a")
    )
    builder.box(builder.images[0]["image_id"], (1, 1, 2, 2), "a<&b>")
    builder.box(builder.images[0]["image_id"], (1, 1, 2, 2), "x:y", iscrowd=True)
    report = exported(builder, tmp_path / "out")
    root = tmp_path / "out"
    assert (root / "ImageSets/Main/train.txt").read_text("utf-8") == "site a/é 图 1.v2\n"
    assert (root / "ImageSets/Main/val.txt").read_text() == "b\n"
    labels = (root / "labelmap.txt").read_text().splitlines()
    assert [row.split(":")[0] for row in labels[1:]] == [
        *("background", "cat", "dog", "a<&b>", "x_y_", "x_y", "background_", "bell_")
    ]
    assert labels[2] == "cat:128,0,0::"
    document = ET.parse(root / "Annotations/site a/é 图 1.v2.xml").getroot()
    assert document.findtext("filename") == "site a/é 图 1.v2.jpg"
    assert [o.findtext("name") for o in document.findall("object")] == [
        "dog",
        "cat",
        "a<&b>",
        "x_y_",
    ]
    assert [o.findtext("difficult") for o in document.findall("object")] == ["0", "0", "0", "1"]
    assert ET.parse(root / "Annotations/b.xml").getroot().findall("object") == []
    renamed = {x.subject for x in report.losses if x.kind == "renamed"}
    assert renamed == {"x:y", "background", "bell\a"}
    counts = count_export("voc", root)
    assert (counts.images, counts.annotations, counts.categories) == (2, 4, 7)
    assert counts.splits == {"train": 1, "val": 1}


def test_jpegs_are_called_jpg_because_torchvision_looks_for_nothing_else(tmp_path):
    builder = Builder(tmp_path)
    builder.image("a.JPEG")
    report = exported(builder, tmp_path / "out")
    assert (tmp_path / "out/JPEGImages/a.jpg").is_file()
    assert [(x.kind, x.subject) for x in report.losses] == [("renamed", "a.JPEG")]


@pytest.mark.parametrize("coordinates", ["devkit", "float0"])
def test_our_own_voc_is_read_with_the_coordinates_it_was_written_with(tmp_path, coordinates):
    builder = Builder(tmp_path)
    builder.box(builder.image("a.jpg"), (10, 5, 20, 30))
    exported(builder, tmp_path / "out", VocOptions(coordinates=coordinates))
    labels = read_labels(tmp_path / "out")
    assert labels.annotations["bbox"].to_pylist() == [{"x": 10, "y": 5, "w": 20, "h": 30}]
    assert labels.images["split"].to_pylist() == ["train"]


def test_csv_has_a_row_per_box_and_a_row_per_picture(tmp_path):
    report = exported(two_pictures(tmp_path), tmp_path / "out", CsvOptions())
    root = tmp_path / "out"
    with (root / "annotations.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(r["category"], r["x"], r["w"], r["area"]) for r in found] == [
        ("dog", "10", "20.5", "615"),
        ("cat", "0", "64", "3072"),
    ]
    with (root / "images.csv").open(encoding="utf-8", newline="") as file:
        pictures = {r["file_name"]: r["annotations"] for r in csv.DictReader(file)}
    assert pictures == {"b.png": "0", "site a/é 图 1.v2.jpg": "2"}
    counts = count_export("csv", root)
    assert (counts.images, counts.annotations, counts.categories) == (2, 2, 2)
    assert counts.splits == report.splits
    assert not (root / "images").exists()


def test_rule_24_cells_that_spreadsheets_run_are_neutralised_by_default(tmp_path):
    builder = Builder(tmp_path, categories=(Category("=cmd()", ""), Category("-1", "")))
    image = builder.image("@a.jpg")
    builder.box(image, (1, 1, 5, 5), "=cmd()", text='+1 "quoted"\nline')
    report = exported(builder, tmp_path / "out", CsvOptions())
    with (tmp_path / "out/annotations.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["category"] == "'=cmd()"
    assert row["text"] == '\'+1 "quoted"\nline'
    assert row["file_name"] == "'@a.jpg"
    assert {x.kind for x in report.losses} == {"converted"}
    exported(builder, tmp_path / "raw", CsvOptions(neutralise=False))
    with (tmp_path / "raw/annotations.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["category"] == "=cmd()"
