"""Captions, Parquet, imagefolder, WebDataset and archives."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from aion_dagster.errors import ExportError
from aion_dagster.formats.export import (
    FORMATS,
    CocoOptions,
    ImagefolderOptions,
    WebdatasetOptions,
    count_export,
    write_export,
)
from aion_dagster.formats.packing import archived
from aion_dagster.values import Category

from .factory import Builder, empty, two_pictures

RLE = {"height": 48, "width": 64, "counts": "PPY1"}


def captioned(folder: Path) -> Builder:
    builder = two_pictures(folder)
    first, second = (image["image_id"] for image in builder.images)
    for image, text in ((first, "a dog"), (second, "nothing"), (first, "two animals")):
        builder.annotations.append(
            {
                "annotation_id": f"c{len(builder.annotations)}",
                "image_id": image,
                "text": text,
                "origin": "captions",
            }
        )
    return builder


def captions(folder: Path) -> list[dict]:
    """Every caption in all splits with the name of its picture."""
    found = []
    for path in sorted((folder / "annotations").glob("captions_*.json")):
        content = json.loads(path.read_text("utf-8"))
        names = {i["id"]: i["file_name"] for i in content["images"]}
        found += [a | {"name": names[a["image_id"]]} for a in content["annotations"]]
    return found


def test_rule_08_captions_stand_in_files_of_their_own(tmp_path):
    builder = captioned(tmp_path)
    report = write_export("coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    found = captions(tmp_path / "out")
    assert sorted((a["name"], a["caption"]) for a in found) == [
        ("b.png", "nothing"),
        ("site a/é 图 1.v2.jpg", "a dog"),
        ("site a/é 图 1.v2.jpg", "two animals"),
    ]
    assert sorted(a["id"] for a in found) == [1, 2, 3]
    assert all(set(a) == {"id", "image_id", "caption", "name"} for a in found)
    instances = json.loads((tmp_path / "out/annotations/instances_train.json").read_text("utf-8"))
    assert len(instances["annotations"]) == report.annotations == 2
    assert report.captions == 3
    assert report.losses == ()


def test_rule_08_descriptions_become_captions_where_asked_and_no_file_is_written_without(tmp_path):
    builder = two_pictures(tmp_path)
    first = builder.images[0]["image_id"]
    out = empty(tmp_path / "out")
    write_export(
        "coco", builder.dataset(), out, builder.pictures(), descriptions={first: "A “dog”"}
    )
    assert [a["caption"] for a in captions(out)] == ["A “dog”"]
    write_export("coco", builder.dataset(), empty(tmp_path / "none"), builder.pictures())
    assert captions(tmp_path / "none") == []


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rule_26_what_a_format_cannot_carry_stands_in_its_loss_report(tmp_path, name):
    builder = captioned(tmp_path)
    image = builder.images[0]["image_id"]
    ring = [10.0, 10.0, 30.0, 10.0, 30.0, 20.0]
    builder.box(
        image,
        (10, 10, 20, 10),
        score=0.5,
        text="EXIT",
        segmentation={"polygons": [ring], "rle": None},
        keypoints=[11.0, 12.0, 2.0],
        attributes='{"occluded":true}',
    )
    report = write_export(name, builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    lost = {x.subject for x in report.losses} & {
        *("segmentation", "score", "text", "keypoints", "attributes", "captions"),
    }
    carried = {
        "coco": {"segmentation", "score", "text", "keypoints", "attributes", "captions"},
        "parquet": {"segmentation", "score", "text", "keypoints", "attributes"},
        "webdataset": {"segmentation", "score", "text", "keypoints", "attributes"},
        "csv": {"score", "text"},
    }
    assert lost == {
        *("segmentation", "score", "text", "keypoints", "attributes", "captions")
    } - carried.get(name, set())


def test_coco_keeps_keypoints_and_attributes(tmp_path):
    builder = Builder(tmp_path, categories=(Category("person", "", ("nose", "tail"), ((1, 2),)),))
    image = builder.image("a.jpg")
    points = [11.5, 12.0, 2.0, 0.0, 0.0, 0.0]
    builder.box(image, (1, 1, 8, 8), "person", keypoints=points, attributes='{"a":1}', text="T")
    write_export("coco", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    (own,) = content["annotations"]
    assert (own["keypoints"], own["num_keypoints"]) == ([11.5, 12.0, 2, 0.0, 0.0, 0], 1)
    assert own["attributes"] == {"a": 1, "text": "T"}
    assert content["categories"][0]["keypoints"] == ["nose", "tail"]
    assert content["categories"][0]["skeleton"] == [[1, 2]]


def test_parquet_holds_everything_that_is_known(tmp_path):
    builder = two_pictures(tmp_path)
    builder.box(builder.images[0]["image_id"], (1, 2, 3, 4), score=0.25, text="=1")
    write_export("parquet", builder.dataset(), empty(tmp_path / "out"), builder.pictures())
    rows = pq.read_table(tmp_path / "out/annotations.parquet").to_pylist()
    assert [(r["file_name"], r["split"], r["category"], r["category_id"]) for r in rows] == [
        ("site a/é 图 1.v2.jpg", "train", "dog", 1),
        ("site a/é 图 1.v2.jpg", "train", "cat", 0),
        ("site a/é 图 1.v2.jpg", "train", "cat", 0),
    ]
    assert rows[2]["bbox"] == {"x": 1, "y": 2, "w": 3, "h": 4}
    assert (rows[2]["area"], rows[2]["score"], rows[2]["text"]) == (12, 0.25, "=1")
    images = pq.read_table(tmp_path / "out/images.parquet").to_pylist()
    assert {r["file_name"]: r["annotations"] for r in images} == {
        "b.png": 0,
        "site a/é 图 1.v2.jpg": 3,
    }
    classes = pq.read_table(tmp_path / "out/categories.parquet").to_pylist()
    assert [c["name"] for c in classes] == ["cat", "dog"]


@pytest.mark.parametrize("metadata", ["jsonl", "parquet"])
def test_imagefolder_has_metadata_beside_the_pictures_of_each_split(tmp_path, metadata):
    builder = two_pictures(tmp_path)
    builder.categories = (Category('c"a\\t', ""), Category("dog", ""))
    builder.annotations[1]["category"] = 'c"a\\t'
    builder.annotations[1]["annotation_id"] = 'odd " id'
    out = empty(tmp_path / "out")
    options = ImagefolderOptions(metadata=metadata)
    write_export("imagefolder", builder.dataset(), out, builder.pictures(), options)
    found = {}
    for split in ("train", "val"):
        path = out / split / f"metadata.{metadata}"
        if metadata == "jsonl":
            found[split] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        else:
            found[split] = pq.read_table(path).to_pylist()
        assert all((out / split / row["file_name"]).is_file() for row in found[split])
    (train,), (val,) = found["train"], found["val"]
    assert train["file_name"] == "site a/é 图 1.v2.jpg"
    assert train["objects"] == {
        "id": ["a0000", 'odd " id'],
        "bbox": [[10, 5, 20.5, 30], [0, 0, 64, 48]],
        "category": ["dog", 'c"a\\t'],
        "category_id": [1, 0],
        "area": [615, 3072],
        "iscrowd": [False, False],
    }
    assert all(cell == [] for cell in val["objects"].values())
    _, front, _ = (out / "README.md").read_text().split("---\n", 2)
    (config,) = yaml.safe_load(front)["configs"]
    assert config["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "validation", "path": "val/**"},
    ]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def test_webdataset_has_a_picture_and_its_json_for_each_sample(tmp_path):
    builder = two_pictures(tmp_path)
    builder.box(
        builder.images[0]["image_id"],
        (0, 0, 64, 48),
        segmentation={"polygons": None, "rle": RLE},
        iscrowd=True,
    )
    out = empty(tmp_path / "out")
    report = write_export("webdataset", builder.dataset(), out, builder.pictures())
    assert sorted(p.name for p in out.glob("*.tar")) == ["train-000000.tar", "val-000000.tar"]
    train = members(out / "train-000000.tar")
    assert list(train) == ["000000002.jpg", "000000002.json"]
    assert train["000000002.jpg"] == builder.paths[builder.images[0]["image_id"]].read_bytes()
    facts = json.loads(train["000000002.json"])
    assert facts["file_name"] == "site a/é 图 1.v2.jpg"
    assert [(a["category"], a["category_id"], a["bbox"]) for a in facts["annotations"]] == [
        ("dog", 1, [10, 5, 20.5, 30]),
        ("cat", 0, [0, 0, 64, 48]),
        ("cat", 0, [0, 0, 64, 48]),
    ]
    assert facts["annotations"][2]["segmentation"] == {"size": [48, 64], "counts": "PPY1"}
    assert json.loads(members(out / "val-000000.tar")["000000001.json"])["annotations"] == []
    assert json.loads((out / "classes.json").read_text()) == ["cat", "dog"]
    assert (report.images, report.annotations) == (2, 3)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({"shard_pictures": 2}, [2, 2, 1]), ({"shard_bytes": 1}, [1] * 5), ({}, [5])],
)
def test_shards_end_at_the_number_or_size_that_was_chosen(tmp_path, options, sizes):
    builder = Builder(tmp_path)
    for i in range(5):
        builder.box(builder.image(f"{i}.jpg"), (1, 1, 9, 9), ("cat", "dog")[i % 2])
    out = empty(tmp_path / "out")
    pictures = builder.pictures()
    write_export("webdataset", builder.dataset(), out, pictures, WebdatasetOptions(**options))
    shards = [members(p) for p in sorted(out.glob("train-*.tar"))]
    assert [len(m) // 3 for m in shards] == sizes
    classes = [data for m in shards for name, data in m.items() if name.endswith(".cls")]
    assert classes == [b"0", b"1", b"0", b"1", b"0"]
    assert count_export("webdataset", out).images == 5


def test_a_picture_that_is_gone_is_in_no_shard(tmp_path):
    from .factory import VANISHED

    builder = two_pictures(tmp_path)
    gone = builder.images[0]["image_id"]
    out = empty(tmp_path / "out")
    pictures = builder.pictures(gone={gone: VANISHED})
    report = write_export("webdataset", builder.dataset(), out, pictures)
    assert (report.images, report.annotations) == (1, 0)
    (loss,) = report.losses
    assert (loss.kind, loss.detail) == ("missing", "its file is gone; boxes left out with it: 2")
    assert count_export("webdataset", out).splits == {"val": 1}


def test_a_dataset_without_pictures_is_an_empty_shard_and_an_empty_list(tmp_path):
    builder = Builder(tmp_path)
    for name in ("webdataset", "imagefolder", "parquet", "csv", "voc"):
        out = empty(tmp_path / name)
        assert write_export(name, builder.dataset(), out, builder.pictures()).images == 0
        assert count_export(name, out).images == 0


def test_labels_alone_are_written_without_any_picture_but_not_as_webdataset(tmp_path):
    builder = two_pictures(tmp_path)
    report = write_export("coco", builder.dataset(), empty(tmp_path / "out"), None)
    assert (report.images, report.annotations) == (2, 2)
    assert not (tmp_path / "out/images").exists()
    with pytest.raises(ExportError, match="without them"):
        write_export("webdataset", builder.dataset(), empty(tmp_path / "tars"), None)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_rule_23_an_archive_holds_the_whole_export_and_is_the_same_bytes_again(tmp_path, kind):
    builder = two_pictures(tmp_path)
    contents = []
    for i in range(2):
        out = empty(tmp_path / f"out{i}")
        write_export("yolo", builder.dataset(), out, builder.pictures())
        for path in out.rglob("*"):  # as if made at another time
            if path.is_file() and path.suffix in (".txt", ".yaml"):
                path.touch()
        place = archived(out, empty(tmp_path / f"packed{i}"), "pets-yolo", kind)
        contents.append(place.read_bytes())
        assert sorted(p.name for p in place.parent.iterdir()) == sorted(
            ["README.md", "export.json", "losses.csv", f"pets-yolo.{kind}"]
        )
    assert contents[0] == contents[1]
    unpacked = empty(tmp_path / "unpacked")
    if kind == "zip":
        with zipfile.ZipFile(place) as archive:
            assert archive.testzip() is None
            archive.extractall(unpacked)
    else:
        with tarfile.open(place) as archive:
            archive.extractall(unpacked, filter="data")
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == {
        p.relative_to(unpacked): p.read_bytes() for p in unpacked.rglob("*") if p.is_file()
    }
    assert count_export("yolo", unpacked).images == 2


@pytest.mark.parametrize("segmentation", ["as_is", "box"])
def test_rule_07_in_segmentation_masks_stay_beside_the_corners_of_boxes(tmp_path, segmentation):
    builder = Builder(tmp_path)
    image = builder.image("a.jpg")
    builder.box(image, (0, 0, 64, 48), segmentation={"polygons": None, "rle": RLE})
    builder.box(image, (1, 2, 3, 4))
    options = CocoOptions(segmentation=segmentation)
    out = empty(tmp_path / "out")
    write_export("coco", builder.dataset(), out, builder.pictures(), options)
    content = json.loads((out / "annotations/instances_train.json").read_text())
    mask, box = (a["segmentation"] for a in content["annotations"])
    assert mask == {"size": [48, 64], "counts": "PPY1"}
    assert box == ([] if segmentation == "as_is" else [[1, 2, 4, 2, 4, 6, 1, 6]])
