"""Pictures made smaller or of another format, and their annotations with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from aion_dagster.formats.export import CocoOptions, YoloOptions, count_export, write_export
from aion_dagster.formats.masks import decode_counts

from .factory import Builder, empty, photo


def exported(builder: Builder, folder: Path, name: str = "coco", **options):
    made = {"coco": CocoOptions, "yolo": YoloOptions}[name](**options)
    out = empty(folder)
    report = write_export(name, builder.dataset(), out, builder.pictures(), made)
    return report, out


def instances(out: Path) -> dict:
    return json.loads((out / "annotations/instances_train.json").read_text("utf-8"))


def test_boxes_polygons_masks_and_keypoints_follow_a_smaller_picture(tmp_path):
    builder = Builder(tmp_path)
    image = builder.image("a.png", size=(200, 100))
    pixels = np.zeros((100, 200), dtype=np.uint8, order="F")
    pixels[20:60, 40:120] = 1
    counts = coco_mask.encode(pixels)["counts"].decode()
    ring = [40.0, 20.0, 120.0, 20.0, 120.0, 60.0, 40.0, 60.0]
    builder.box(image, (40, 20, 80, 40), segmentation={"polygons": [ring], "rle": None})
    rle = {"height": 100, "width": 200, "counts": counts}
    builder.box(image, (40, 20, 80, 40), segmentation={"polygons": None, "rle": rle})
    builder.box(image, (0, 0, 200, 100), keypoints=[100.0, 50.0, 2.0])
    report, out = exported(builder, tmp_path / "out", longest_side=50)
    content = instances(out)
    (listed,) = content["images"]
    assert (listed["width"], listed["height"]) == (50, 25)
    with Image.open(out / "images/train/a.png") as picture:
        assert picture.size == (50, 25)
    polygon, mask, points = content["annotations"]
    assert polygon["bbox"] == mask["bbox"] == [10, 5, 20, 10]
    assert polygon["segmentation"] == [[10, 5, 30, 5, 30, 15, 10, 15]]
    assert points["keypoints"] == [25, 12.5, 2]
    assert points["bbox"] == [0, 0, 50, 25]
    assert mask["segmentation"]["size"] == [25, 50]
    small = coco_mask.decode(mask["segmentation"])
    assert small[5:15, 10:30].all()
    assert small.sum() == mask["area"] == 200
    assert int(decode_counts(mask["segmentation"]["counts"]).sum()) == 25 * 50
    assert [x.detail for x in report.losses if x.kind == "converted"] == [
        "made smaller: 200×100 to 50×25; from PNG to PNG"
    ]
    assert count_export("coco", out).images == 1


def test_pictures_that_are_small_enough_are_linked_as_they_are(tmp_path):
    builder = Builder(tmp_path)
    builder.image("a.jpg", size=(64, 48))
    report, out = exported(builder, tmp_path / "out", longest_side=64)
    assert report.losses == ()
    (own,) = builder.paths.values()
    assert (out / "images/train/a.jpg").samefile(own)


@pytest.mark.parametrize(
    ("wanted", "suffix", "lossy"),
    [("jpeg", ".jpg", True), ("png", ".png", False), ("webp", ".webp", False)],
)
def test_every_picture_becomes_the_format_that_is_asked_for(tmp_path, wanted, suffix, lossy):
    builder = Builder(tmp_path)
    path = tmp_path / "clear.png"
    rgba = np.zeros((48, 64, 4), dtype=np.uint8)
    rgba[:, :32] = (200, 10, 10, 255)
    Image.fromarray(rgba).save(path)
    builder.image("clear.png", path=path)
    builder.image("a.jpg")
    report, out = exported(builder, tmp_path / "out", picture_format=wanted)
    names = {p.name for p in (out / "images/train").iterdir()}
    assert names == {f"clear{suffix}", f"a{suffix}"}
    with Image.open(out / f"images/train/clear{suffix}") as picture:
        assert picture.format == wanted.upper()
        found = np.asarray(picture.convert("RGBA"))
    if lossy:
        assert (found[:, 40:, :3] > 250).all()  # transparent parts are white
    else:
        assert (found[rgba[..., 3] > 0] == rgba[rgba[..., 3] > 0]).all()
    changed = {x.subject for x in report.losses if x.kind == "converted"}
    assert changed == (
        {"clear.png"}
        if wanted == "jpeg"
        else {"a.jpg"}
        if wanted == "png"
        else {"clear.png", "a.jpg"}
    )
    assert count_export("coco", out).images == 2


def test_a_sixteen_bit_picture_keeps_its_tones_as_jpeg(tmp_path):
    path = tmp_path / "deep.png"
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    Image.fromarray(ramp).save(path)
    builder = Builder(tmp_path)
    builder.image("deep.png", path=path)
    report, out = exported(builder, tmp_path / "out", picture_format="jpeg")
    with Image.open(out / "images/train/deep.jpg") as picture:
        tones = np.asarray(picture).astype(int)
    assert abs(tones - ramp // 256).max() <= 4
    assert "from 16 to 8 bits" in report.losses[0].detail


def test_rule_18_what_becomes_too_small_is_left_out_of_yolo(tmp_path):
    builder = Builder(tmp_path)
    builder.box(builder.image("wide.png", size=(400, 20)), (1, 1, 9, 9))
    builder.box(builder.image("a.png"), (1, 1, 9, 9))
    report, out = exported(builder, tmp_path / "out", "yolo", longest_side=100)
    assert report.images == count_export("yolo", out).images == 1
    (loss,) = [x for x in report.losses if x.kind == "dropped"]
    assert loss.subject == "wide.png"
    assert "100×5 pixels" in loss.detail


def test_a_turned_picture_is_made_upright_and_smaller_at_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photo(tmp_path / "turned.jpg", (48, 64), seed=9, exif=exif.tobytes())
    builder = Builder(tmp_path)
    image = builder.image("turned.jpg", path=path, orientation=6)
    builder.box(image, (32, 24, 16, 12))
    _, out = exported(builder, tmp_path / "out", longest_side=32)
    with Image.open(out / "images/train/turned.jpg") as picture:
        assert picture.size == (32, 24)
        assert picture.getexif().get(0x0112, 1) == 1
    assert instances(out)["annotations"][0]["bbox"] == [16, 12, 8, 6]
