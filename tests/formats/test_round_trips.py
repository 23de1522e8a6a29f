"""COCO → dataset → YOLO → dataset → VOC: boxes come back within stated tolerances."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.formats.export import (
    CocoOptions,
    VocOptions,
    YoloOptions,
    count_export,
    write_export,
)
from aion_dagster.formats.labels import read_labels
from aion_dagster.values import Category

from .factory import Builder, boxes, empty

NAMES = ("cat", "no", "é 图", 'a"b')
SIZES = {"a": (64, 48), "sub/b": (37, 53), "c d.v2": (40, 40)}
unit = st.floats(0.0, 0.98, allow_nan=False)
extent = st.floats(0.002, 1.0, allow_nan=False)
box = st.tuples(unit, unit, extent, extent, st.sampled_from(NAMES))
pictures = st.fixed_dictionaries({name: st.lists(box, max_size=5, unique=True) for name in SIZES})

EXPORTS = {
    "coco": (CocoOptions(), 0.0),
    "yolo": (YoloOptions(), 1e-5),
    "voc": (VocOptions(coordinates="float0"), 1e-9),
}


def built(folder: Path, rows) -> Builder:
    """A dataset with these boxes, given in fractions; boxes end at the picture's edge."""
    builder = Builder(folder, categories=tuple(Category(n, "") for n in NAMES))
    for name, size in SIZES.items():
        image = builder.image(f"{name}.png", size=size, split="val" if name == "a" else "train")
        for x, y, w, h, category in rows[name]:
            left, top = x * size[0], y * size[1]
            wide, tall = min(w * size[0], size[0] - left), min(h * size[1], size[1] - top)
            builder.box(image, (left, top, wide, tall), category)
    return builder


def truth(builder: Builder) -> dict[str, list[tuple]]:
    names = {i["image_id"]: i["file_name"].rpartition(".")[0] for i in builder.images}
    found = {name: [] for name in names.values()}
    for row in builder.annotations:
        found[names[row["image_id"]]].append((row["category"], *row["bbox"].values()))
    return found


def same_boxes(found, expected, tolerance: float) -> bool:
    """Whether every expected box has a found one of its class within the tolerance, and none is left over."""
    left = [*found]
    for category, *sides in expected:
        near = [
            i
            for i, (name, *own) in enumerate(left)
            if name == category and np.abs(np.subtract(own, sides)).max() <= tolerance
        ]
        if not near:
            return False
        left.pop(near[0])
    return not left


@given(pictures)
def test_boxes_survive_every_format(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = built(folder, rows)
        for format_name, (options, tolerance) in EXPORTS.items():
            out = empty(folder / format_name)
            report = write_export(format_name, builder.dataset(), out, builder.pictures(), options)
            repeated = sum(x.kind == "deduplicated" for x in report.losses)
            counts = count_export(format_name, out)
            assert (counts.images, counts.annotations) == (report.images, report.annotations)
            assert counts.annotations == len(builder.annotations) - repeated
            labels = read_labels(out)
            assert labels.losses == ()
            found = boxes(labels, SIZES)
            assert set(found) == set(SIZES)
            if not repeated:
                for picture, expected in truth(builder).items():
                    assert same_boxes(found[picture], expected, tolerance)


@given(pictures)
def test_a_chain_through_coco_yolo_and_voc_ends_where_it_began(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = first = built(folder, rows)
        for format_name, (options, _) in EXPORTS.items():
            out = empty(folder / format_name)
            write_export(format_name, builder.dataset(), out, builder.pictures(), options)
            builder = rebuilt(folder, first, boxes(read_labels(out), SIZES))
        if len(builder.annotations) == len(first.annotations):
            for picture, expected in truth(first).items():
                assert same_boxes(truth(builder)[picture], expected, 2e-5)


def rebuilt(folder: Path, first: Builder, found) -> Builder:
    builder = Builder(folder, first.categories, images=first.images, paths=first.paths)
    for image in first.images:
        for category, *sides in found[image["file_name"].rpartition(".")[0]]:
            builder.box(image["image_id"], tuple(sides), category)
    return builder


@given(pictures)
def test_devkit_boxes_hold_the_box_and_are_at_most_two_pixels_larger(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = built(folder, rows)
        write_export("voc", builder.dataset(), empty(folder / "voc"), builder.pictures())
        labels = read_labels(folder / "voc")
        own = {a["annotation_id"]: a["bbox"] for a in builder.annotations}
        assert labels.annotations.num_rows == len(own)
        found = boxes(labels, SIZES)
        for picture, expected in truth(builder).items():
            for category, x, y, w, h in expected:
                assert any(
                    name == category
                    and left <= x + 1e-6
                    and top <= y + 1e-6
                    and left + wide >= x + w - 1e-6
                    and top + tall >= y + h - 1e-6
                    and wide < w + 2
                    and tall < h + 2
                    for name, left, top, wide, tall in found[picture]
                )


RLE = {"height": 48, "width": 64, "counts": "PPY1"}
PX = {"float0": 1e-3, "devkit": 2.0}
"""How far a side may move on the way through YOLO and Pascal VOC."""


def with_all_that_formats_lose(folder: Path, rows) -> Builder:
    builder = built(folder, rows)
    builder.annotations = [a | {"score": 0.5, "text": "T"} for a in builder.annotations]
    image = next(i["image_id"] for i in builder.images if i["file_name"] == "a.png")
    builder.box(image, (0, 0, 64, 48), iscrowd=True, segmentation={"polygons": None, "rle": RLE})
    caption = {"annotation_id": "caption", "image_id": image, "text": "x", "origin": "captions"}
    builder.annotations.append(caption)
    return builder


def hop(builder: Builder, out: Path, options) -> tuple[Builder, set[tuple[str, str]]]:
    """Export and read back: names, splits, classes and boxes are those of the files; and what the hop reports."""
    name = {CocoOptions: "coco", YoloOptions: "yolo", VocOptions: "voc"}[type(options)]
    report = write_export(name, builder.dataset(), empty(out), builder.pictures(), options)
    labels = read_labels(out)
    read = Builder(builder.folder, labels.categories, paths=builder.paths)
    by_name = {i["file_name"]: i for i in builder.images}
    ids = {}
    for row in labels.images.to_pylist():
        original = by_name[row["file_name"]]
        ids[row["label_image"]] = original
        if all(i["file_name"] != row["file_name"] for i in read.images):  # once for captions, too
            read.images.append(original | {"split": row["split"]})
    for row in labels.annotations.to_pylist():
        image = ids[row["label_image"]]
        scale = (image["width"], image["height"]) if row["normalized"] else (1, 1)
        if row["bbox"] is None:
            continue
        box = tuple(row["bbox"][k] * scale[i % 2] for i, k in enumerate("xywh"))
        read.box(image["image_id"], box, row["category"], iscrowd=bool(row["iscrowd"]))
    return read, {(x.kind, x.subject) for x in report.losses}


def facts(builder: Builder) -> tuple[list, list[str]]:
    """Names with splits, and names of the classes."""
    pictures = sorted((i["file_name"], i["split"]) for i in builder.images)
    return pictures, [c.name for c in builder.categories]


@given(pictures, st.sampled_from(["float0", "devkit"]))
def test_coco_to_yolo_to_voc_to_coco_keeps_boxes_classes_splits_names_and_negatives(rows, kind):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = with_all_that_formats_lose(folder, rows)
        one, lost = hop(first, folder / "coco", CocoOptions())
        assert lost == set()
        two, lost = hop(first, folder / "yolo", YoloOptions())
        crowd = first.annotations[-2]["annotation_id"]
        assert ("dropped", crowd) in lost
        assert {("converted", "segmentation"), ("dropped", "captions")} <= lost
        scored = (
            {("dropped", "score"), ("dropped", "text")} if len(first.annotations) > 2 else set()
        )
        assert scored <= lost
        three, lost = hop(two, folder / "voc", VocOptions(coordinates=kind))
        assert {k for k, _ in lost} <= {"deduplicated"}
        last, lost = hop(three, folder / "again", CocoOptions())
        assert lost == set()
        for read in (one, two, three, last):
            assert facts(read) == facts(first)
        kept = [
            a for a in first.annotations if not a.get("iscrowd") and a["annotation_id"] != "caption"
        ]
        if len(last.annotations) == len(kept):  # YOLO may leave out rows that are the same
            wanted = truth(Builder(folder, first.categories, first.images, kept, first.paths))
            for picture, expected in truth(last).items():
                assert same_boxes(expected, wanted[picture], PX[kind])


@given(pictures)
def test_voc_by_itself_reports_what_it_cannot_carry(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = with_all_that_formats_lose(folder, rows)
        read, lost = hop(first, folder / "voc", VocOptions())
        crowd = first.annotations[-2]["annotation_id"]
        assert {
            ("converted", crowd),
            ("converted", "segmentation"),
            ("dropped", "captions"),
        } <= lost
        assert facts(read) == facts(first)
