"""YOLO exports in the layout of Ultralytics."""

from __future__ import annotations

import pytest
import yaml

from aion_dagster.errors import ExportError
from aion_dagster.formats.export import YoloOptions, count_export, write_export
from aion_dagster.values import Category

from .factory import VANISHED, Builder, empty, two_pictures


def exported(builder: Builder, folder, **options):
    return write_export(
        "yolo", builder.dataset(), empty(folder), builder.pictures(), YoloOptions(**options)
    )


def rows(folder, name):
    return (folder / "labels" / name).read_text().splitlines()


def test_rule_12_labels_mirror_pictures(tmp_path):
    exported(two_pictures(tmp_path), tmp_path / "out")
    pictures = {
        p.relative_to(tmp_path / "out/images") for p in (tmp_path / "out/images").rglob("*.*")
    }
    labels = {
        p.relative_to(tmp_path / "out/labels") for p in (tmp_path / "out/labels").rglob("*.txt")
    }
    assert {p.with_suffix(".txt") for p in pictures} == labels
    assert len(labels) == 2


def test_rule_13_rows_have_five_fields_inside_the_unit_square(tmp_path):
    builder = two_pictures(tmp_path)
    image = builder.images[0]["image_id"]
    builder.box(image, (60, 40, 30, 30))
    builder.box(image, (10, 10, 20, 20), iscrowd=True)
    report = exported(builder, tmp_path / "out")
    found = rows(tmp_path / "out", "train/site a/é 图 1.v2.txt")
    assert len(found) == report.annotations == 3
    for row in found:
        category, *values = row.split()
        assert category in ("0", "1")
        assert len(values) == 4
        assert all(0 <= float(v) <= 1 for v in values)
    assert ("dropped", "a0003") in {(x.kind, x.subject) for x in report.losses}


def test_rule_13_in_segmentation_every_row_is_a_polygon(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg", size=(100, 100))
    square = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]
    other = [v + 30 for v in square]
    builder.box(image, (10, 10, 10, 10), segmentation={"polygons": [square], "rle": None})
    builder.box(image, (10, 10, 40, 40), segmentation={"polygons": [square, other], "rle": None})
    builder.box(image, (50, 50, 10, 20))
    report = exported(builder, tmp_path / "out", task="segment")
    one, joined, box = (row.split() for row in rows(tmp_path / "out", "train/a.txt"))
    assert one[1:] == [f"{v / 100:.8f}" for v in square]
    assert len(joined) == 1 + 2 * (4 + 4 + 2)
    assert len(box) == 9
    assert report.annotations == 3
    assert [x.subject for x in report.losses if x.kind == "converted"] == ["a0001"]


def test_rule_14_eight_decimals_and_no_repeated_rows(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg", size=(64, 48))
    builder.box(image, (10.123456, 5, 20, 30))
    builder.box(image, (10.123456, 5, 20, 30))
    builder.box(image, (10, 5, 1e-9, 30))
    report = exported(builder, tmp_path / "out")
    (row,) = rows(tmp_path / "out", "train/a.txt")
    category, cx, cy, w, h = row.split()
    assert category == "0"
    assert float(cx) * 64 == pytest.approx(20.123456, abs=1e-6)
    assert [len(v.partition(".")[2]) for v in (cx, cy, w, h)] == [8] * 4
    assert {(x.kind, x.subject) for x in report.losses} >= {
        ("deduplicated", "a0001"),
        ("dropped", "a0002"),
    }
    assert report.annotations == count_export("yolo", tmp_path / "out").annotations == 1


def test_rule_15_a_picture_without_objects_has_an_empty_label_file(tmp_path):
    exported(two_pictures(tmp_path), tmp_path / "out")
    assert rows(tmp_path / "out", "val/b.txt") == []


def test_rule_16_data_yaml_resolves_beside_itself_and_keeps_odd_names(tmp_path):
    builder = two_pictures(tmp_path)
    odd = ["cat", "dog", "no", "null", "1e3", 'quote " \\ #: \u0085 é 图 😀', "{a: b}", "- x"]
    builder.categories = tuple(Category(name, "") for name in odd)
    exported(builder, tmp_path / "out")
    facts = yaml.safe_load((tmp_path / "out/data.yaml").read_text("utf-8"))
    assert facts["names"] == dict(enumerate(odd))
    assert facts["nc"] == len(odd)
    assert (facts["train"], facts["val"]) == ("images/train", "images/val")
    assert "path" not in facts
    assert "test" not in facts


@pytest.mark.parametrize(
    ("own", "train", "val", "lost"),
    [
        ("train", "train", "train", {"val"}),
        ("val", "val", "val", {"train"}),
        ("test", "test", "test", {"train", "val"}),
    ],
)
def test_rule_29_a_missing_split_repeats_another_and_is_reported(tmp_path, own, train, val, lost):
    builder = Builder(tmp_path)
    builder.box(builder.image("a.jpg", split=own), (1, 1, 9, 9))
    report = exported(builder, tmp_path / "out")
    facts = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert (facts["train"], facts["val"]) == (f"images/{train}", f"images/{val}")
    assert {x.subject for x in report.losses if x.kind == "split"} == lost
    counts = count_export("yolo", tmp_path / "out")
    assert (counts.splits, counts.annotations) == ({own: 1}, 1)


def test_rule_17_class_order_is_the_datasets(tmp_path):
    builder = two_pictures(tmp_path)
    builder.categories = (Category("dog", ""), Category("unused", ""), Category("cat", ""))
    exported(builder, tmp_path / "out")
    found = rows(tmp_path / "out", "train/site a/é 图 1.v2.txt")
    assert [row.split()[0] for row in found] == ["0", "2"]


def test_rule_18_pictures_below_ten_pixels_are_left_out_and_reported(tmp_path):
    builder = two_pictures(tmp_path)
    builder.box(builder.image("tiny.png", size=(9, 40)), (1, 1, 3, 3))
    report = exported(builder, tmp_path / "out")
    assert report.images == count_export("yolo", tmp_path / "out").images == 2
    (loss,) = [x for x in report.losses if x.subject == "tiny.png"]
    assert loss.kind == "dropped"
    assert "boxes left out with it: 1" in loss.detail


def test_an_export_without_any_picture_is_refused(tmp_path):
    builder = Builder(tmp_path)
    gone = builder.image("a.jpg")
    with pytest.raises(ExportError, match="no picture left"):
        write_export(
            "yolo",
            builder.dataset(),
            empty(tmp_path / "out"),
            builder.pictures(gone={gone: VANISHED}),
        )
