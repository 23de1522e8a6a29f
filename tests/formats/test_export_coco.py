"""COCO exports, loaded by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from aion_dagster.formats.export import CocoOptions, count_export, write_export
from aion_dagster.values import Category

from .factory import Builder, empty, two_pictures


def exported(builder: Builder, folder, split="train", **options):
    report = write_export(
        "coco", builder.dataset(), empty(folder), builder.pictures(), CocoOptions(**options)
    )
    return report, json.loads((folder / f"annotations/instances_{split}.json").read_text("utf-8"))


def loaded(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_rule_01_ground_truth_against_itself_scores_one(tmp_path):
    builder = Builder(tmp_path)
    for i in range(4):
        image = builder.image(f"{i}.jpg", size=(400, 300))
        for j, category in enumerate(("cat", "dog", "cat")):
            builder.box(image, (10 + 90 * j, 20 + i, 40 + 40 * j, 60), category)
    report, content = exported(builder, tmp_path / "out")
    ids = [a["id"] for a in content["annotations"]]
    assert ids == list(range(1, 13))
    truth = loaded(tmp_path / "out/annotations/instances_train.json")
    found = [
        {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for a in truth.anns.values()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        score = COCOeval(truth, truth.loadRes(found), "bbox")
        score.evaluate()
        score.accumulate()
        score.summarize()
    assert score.stats[0] == pytest.approx(1.0)
    assert (report.images, report.annotations, report.categories) == (4, 12, 2)


def test_rule_02_category_ids_are_contiguous_from_one_or_zero(tmp_path):
    _, content = exported(two_pictures(tmp_path / "a"), tmp_path / "one")
    assert [c["id"] for c in content["categories"]] == [1, 2]
    _, content = exported(two_pictures(tmp_path / "b"), tmp_path / "zero", first_category_id=0)
    assert [c["id"] for c in content["categories"]] == [0, 1]
    assert {a["category_id"] for a in content["annotations"]} == {0, 1}


def test_rule_02_ids_of_label_files_are_kept_where_asked_and_possible(tmp_path):
    builder = two_pictures(tmp_path / "a")
    builder.categories = (Category("cat", "", number=7), Category("dog", "", number=0))
    report, content = exported(builder, tmp_path / "kept", category_ids="keep")
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(7, "cat"), (0, "dog")]
    assert sorted(a["category_id"] for a in content["annotations"]) == [0, 7]
    assert report.losses == ()
    builder.categories = (Category("cat", "", number=7), Category("dog", ""))
    report, content = exported(builder, tmp_path / "not", category_ids="keep")
    assert [c["id"] for c in content["categories"]] == [1, 2]
    assert [x.subject for x in report.losses] == ["category ids"]


def test_rule_03_area_is_that_of_the_mask_and_iscrowd_a_number(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg")
    ring = [10.0, 10.0, 30.0, 10.0, 30.0, 20.0]
    builder.box(image, (10, 10, 20, 10), segmentation={"polygons": [ring], "rle": None})
    builder.box(image, (0, 0, 5, 4), iscrowd=None)
    _, content = exported(builder, tmp_path / "out")
    truth = loaded(tmp_path / "out/annotations/instances_train.json")
    first, second = content["annotations"]
    assert first["area"] == truth.annToMask(first).sum()
    assert second["area"] == 20.0
    assert [first["iscrowd"], second["iscrowd"]] == [0, 0]


@pytest.mark.parametrize("parent", ["", "none", "None", None])
def test_rule_04_info_licenses_and_a_real_supercategory_are_always_there(tmp_path, parent):
    builder = two_pictures(tmp_path)
    builder.categories = (Category("cat", parent), Category("dog", "pet"))
    _, content = exported(builder, tmp_path / "out")
    assert content["info"] == {"description": "pets", "version": "f00d"}
    assert content["licenses"] == []
    assert [c["supercategory"] for c in content["categories"]] == ["cat", "pet"]


def test_rule_05_ids_and_classes_are_the_same_across_splits(tmp_path):
    builder = two_pictures(tmp_path)
    _, train = exported(builder, tmp_path / "out")
    val = json.loads((tmp_path / "out/annotations/instances_val.json").read_text())
    assert train["categories"] == val["categories"]
    ids = [i["id"] for i in train["images"] + val["images"]]
    assert sorted(ids) == [1, 2]
    assert {a["image_id"] for a in train["annotations"]} <= {i["id"] for i in train["images"]}


def test_rule_06_boxes_that_are_no_boxes_are_dropped_and_counted(tmp_path):
    builder = two_pictures(tmp_path)
    image = builder.images[0]["image_id"]
    for bad in ((1, 1, 0, 5), (1, 1, 5, -2), (float("nan"), 1, 5, 5), (1, float("inf"), 5, 5)):
        builder.box(image, bad)
    builder.box(image, (1, 1, 5, 5), "unicorn")
    builder.box("no such picture", (1, 1, 5, 5))
    report, content = exported(builder, tmp_path / "out")
    assert len(content["annotations"]) == report.annotations == 2
    dropped = {loss.subject for loss in report.losses if loss.kind == "dropped"}
    assert dropped == {f"a{i:04d}" for i in range(2, 8)}


def test_rule_07_masks_are_nested_polygons_or_rle_and_boxes_have_none_or_four_corners(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg")
    rings = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0], [1.0, 2.0, 3.0, 4.0]]
    builder.box(image, (1, 1, 8, 8), segmentation={"polygons": rings, "rle": None})
    rle = {"height": 48, "width": 64, "counts": "PPY1"}
    builder.box(image, (0, 0, 64, 48), segmentation={"polygons": None, "rle": rle}, iscrowd=True)
    builder.box(image, (2, 3, 4, 5))
    _, content = exported(builder, tmp_path / "out")
    polygon, crowd, box = (a["segmentation"] for a in content["annotations"])
    assert polygon == rings[:1]
    assert crowd == {"size": [48, 64], "counts": "PPY1"}
    assert box == []
    _, content = exported(builder, tmp_path / "corners", segmentation="box")
    assert content["annotations"][2]["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]


def test_rule_08_text_and_scores_stand_in_attributes_not_among_captions(tmp_path):
    builder = Builder(tmp_path)
    builder.box(builder.image("a.jpg"), (1, 1, 8, 8), text="EXIT", score=0.5)
    _, content = exported(builder, tmp_path / "out")
    (annotation,) = content["annotations"]
    assert annotation["attributes"] == {"text": "EXIT", "score": 0.5}
    assert "caption" not in annotation


def test_rule_10_every_listed_picture_lies_below_its_split(tmp_path):
    builder = two_pictures(tmp_path)
    exported(builder, tmp_path / "out")
    for split in ("train", "val"):
        content = json.loads(
            (tmp_path / f"out/annotations/instances_{split}.json").read_text("utf-8")
        )
        for image in content["images"]:
            assert (tmp_path / "out/images" / split / image["file_name"]).is_file()


def test_rule_11_there_is_no_nan_in_the_file(tmp_path):
    builder = two_pictures(tmp_path)
    builder.box(builder.images[0]["image_id"], (1, 1, float("nan"), 3), score=float("nan"))
    exported(builder, tmp_path / "out")
    text = (tmp_path / "out/annotations/instances_train.json").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text


def test_what_was_written_is_counted_from_the_disk(tmp_path):
    report, _ = exported(two_pictures(tmp_path), tmp_path / "out")
    counts = count_export("coco", tmp_path / "out")
    assert (counts.images, counts.annotations, counts.categories) == (2, 2, 2)
    assert counts.splits == report.splits == {"train": 1, "val": 1}
    (tmp_path / "out/images/val/b.png").unlink()
    assert count_export("coco", tmp_path / "out").splits == {"train": 1}


def test_a_dataset_without_pictures_is_an_empty_train_split(tmp_path):
    report, content = exported(Builder(tmp_path), tmp_path / "out")
    assert content["images"] == content["annotations"] == []
    assert report.images == 0
