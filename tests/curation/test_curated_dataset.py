"""Datasets: what is in them, what is reported, and that the same content is the same version."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity, schemas
from aion_dagster.curation.dataset import Before, DatasetSettings, build_dataset
from aion_dagster.curation.fingerprint import dataset_fingerprint, diff
from aion_dagster.curation.outlines import clip_polygon
from aion_dagster.curation.splits import is_conflict
from aion_dagster.errors import ConfigError
from aion_dagster.values import Category, Dataset, Loss

CLASSES = (Category("dog", "animal"), Category("cat", "animal"))


def sha(name: str) -> str:
    return identity.digest(name)


def image_id(name: str) -> str:
    return identity.image_id(sha(name))


def picture(name: str, **columns: Any) -> dict[str, Any]:
    row = dict.fromkeys(schemas.LIBRARY.names)
    place = {"source": "s", "uri": f"/d/{name}", "name": name, "version": "1", "batch": "b"}
    row |= place | {"image_id": image_id(name), "sha256": sha(name), "width": 100, "height": 50}
    return row | {"orientation": 1, "format": "jpeg", "locations": [place]} | columns


def box(
    name: str,
    category: str | None = "cat",
    xywh: Sequence[float] | None = (10, 10, 20, 20),
    number: int = 0,
    **columns: Any,
) -> dict[str, Any]:
    row = dict.fromkeys(schemas.ANNOTATIONS.names)
    row |= {"annotation_id": f"{name}-{category}-{number}", "image_id": image_id(name)}
    row |= {"category": category, "bbox": xywh and dict(zip("xywh", map(float, xywh), strict=True))}
    return row | {"iscrowd": False, "origin": "labels"} | columns


def near(*groups: Sequence[str]) -> pa.Table:
    rows = [
        {"image_id": image_id(n), "group_id": image_id(g[0]), "group_size": len(g), "distance": 1,
         "is_representative": n == g[0]}
        for g in groups
        for n in g
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schemas.NEAR_DUPLICATES)


def keep_names(names: Sequence[str], shas: Sequence[str]) -> tuple[list[str], tuple[Loss, ...]]:
    return list(names), ()


def build(
    pictures: Sequence[dict[str, Any]],
    boxes: Sequence[dict[str, Any]] = (),
    *,
    groups: pa.Table | None = None,
    labelled: Sequence[str] | None = None,
    categories: tuple[Category, ...] = CLASSES,
    previous: dict[str, str] | None = None,
    previous_categories: tuple[str, ...] = (),
    before: Before | None = None,
    losses: Sequence[Loss] = (),
    **settings: Any,
) -> Dataset:
    return build_dataset(
        library=pa.Table.from_pylist(list(pictures), schema=schemas.LIBRARY),
        annotations=pa.Table.from_pylist(list(boxes), schema=schemas.ANNOTATIONS),
        near_duplicates=schemas.NEAR_DUPLICATES.empty_table() if groups is None else groups,
        categories=categories,
        labelled={p["image_id"] for p in pictures}
        if labelled is None
        else set(map(image_id, labelled)),
        losses=losses,
        settings=DatasetSettings(**settings),
        previous_splits=previous or {},
        before=before,
        make_names=keep_names,
        previous_categories=previous_categories,
    )


def lost(dataset: Dataset, kind: str) -> list[str]:
    return [x.subject for x in dataset.losses if x.kind == kind]


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Some pictures and boxes, partly outside of them, partly twice."""
    names = [
        f"{folder}/{i}.jpg"
        for i, folder in enumerate(draw(st.lists(st.sampled_from("ab"), max_size=8)))
    ]
    number = st.floats(-30, 130, width=32)
    boxes = [
        box(draw(st.sampled_from(names)), draw(st.sampled_from(["cat", "dog", "owl"])),
            draw(st.tuples(number, number, number, number)), i)
        for i in range(draw(st.integers(0, 12)) if names else 0)
    ]  # fmt: skip
    return [picture(n) for n in names], boxes


@given(contents())
def test_rule_6_boxes_are_finite_and_inside_the_picture(
    content: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    dataset = build(*content)
    assert dataset.annotations.schema.equals(schemas.ANNOTATIONS)
    for row in dataset.annotations["bbox"].to_pylist():
        assert row["w"] > 0
        assert row["h"] > 0
        assert row["x"] >= 0
        assert row["y"] >= 0
        assert row["x"] + row["w"] <= 100 + 1e-6
        assert row["y"] + row["h"] <= 50 + 1e-6
    gone = len(content[1]) - dataset.annotations.num_rows
    assert len(lost(dataset, "dropped")) + len(lost(dataset, "deduplicated")) == gone


@given(contents(), st.randoms(use_true_random=False))
def test_rule_25_the_order_of_rows_changes_nothing(
    content: tuple[list[dict[str, Any]], list[dict[str, Any]]], rng: random.Random
) -> None:
    pictures, boxes = content
    one = build(pictures, boxes)
    two = build(rng.sample(pictures, len(pictures)), rng.sample(boxes, len(boxes)))
    assert one == two


@given(contents(), contents(), st.sampled_from(["group", "keep_one"]), st.randoms())
def test_what_an_earlier_version_had_hashed_changes_nothing(
    old: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    new: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    rule: str,
    rng: random.Random,
) -> None:
    known = [p["name"] for p in new[0]]
    groups = near(known[:2], known[2:5]) if len(known) > 5 else None
    first = build(*old)
    splits = first.images.select(["image_id", "split"])
    others = splits.take(pa.array(rng.sample(range(len(splits)), k=len(splits)), pa.int64()))
    anew = build(*new, before=Before(splits), groups=groups, near_duplicates=rule)
    for given_splits in (splits, others):
        grown = build(
            *new, before=Before(given_splits, (), first.hashes), groups=groups, near_duplicates=rule
        )
        assert grown == anew


def test_images_and_annotations_are_sorted_and_have_their_schemas() -> None:
    dataset = build(
        [picture("b.jpg"), picture("a.jpg")],
        [box("b.jpg"), box("a.jpg", number=2), box("a.jpg", "dog")],
    )
    assert dataset.images.schema.equals(schemas.DATASET_IMAGES)
    assert dataset.images["file_name"].to_pylist() == ["a.jpg", "b.jpg"]
    assert dataset.annotations["annotation_id"].to_pylist() == [
        "a.jpg-cat-2",
        "a.jpg-dog-0",
        "b.jpg-cat-0",
    ]


def test_rule_6_a_box_beyond_the_border_is_cut_and_reported() -> None:
    dataset = build([picture("a.jpg")], [box("a.jpg", xywh=(-10, 40, 30, 30))])
    assert dataset.annotations["bbox"].to_pylist() == [{"x": 0.0, "y": 40.0, "w": 20.0, "h": 10.0}]
    assert lost(dataset, "clipped") == ["a.jpg"]


def test_rounding_noise_at_the_border_is_cut_without_a_word() -> None:
    dataset = build([picture("a.jpg")], [box("a.jpg", xywh=(0, 0, 100.0000001, 50))])
    assert dataset.annotations["bbox"].to_pylist() == [{"x": 0.0, "y": 0.0, "w": 100.0, "h": 50.0}]
    assert lost(dataset, "clipped") == []


@pytest.mark.parametrize(
    "xywh",
    [(200, 10, 5, 5), (10, 10, 0, 5), (10, 10, 5, -5), (math.nan, 1, 1, 1), (1, 1, math.inf, 1), (-9, 0, 9, 5), None],
)  # fmt: skip
def test_rule_6_a_box_without_area_or_number_is_dropped_and_counted(xywh: Any) -> None:
    dataset = build([picture("a.jpg")], [box("a.jpg", xywh=xywh), box("a.jpg", "dog")])
    assert dataset.annotations["category"].to_pylist() == ["dog"]
    assert lost(dataset, "dropped") == ["a.jpg"]


def test_an_outline_is_cut_at_the_border_and_gives_a_missing_box() -> None:
    outline = {"polygons": [[-10.0, 0.0, 10.0, 0.0, 10.0, 10.0, -10.0, 10.0]], "rle": None}
    dataset = build([picture("a.jpg")], [box("a.jpg", xywh=None, segmentation=outline)])
    row = dataset.annotations.to_pylist()[0]
    assert row["bbox"] == {"x": 0.0, "y": 0.0, "w": 10.0, "h": 10.0}
    assert set(zip(row["segmentation"]["polygons"][0][0::2], row["segmentation"]["polygons"][0][1::2], strict=True)) == {
        (0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(-50, 150), st.integers(-50, 100)), min_size=3, max_size=8))
def test_cutting_an_outline_keeps_the_area_of_a_convex_one(points: list[tuple[int, int]]) -> None:
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    cut = clip_polygon([left, top, right, top, right, bottom, left, bottom], 100, 50)
    want = max(0, min(right, 100) - max(left, 0)) * max(0, min(bottom, 50) - max(top, 0))
    corners = list(zip(cut[0::2], cut[1::2], strict=True))
    area = (
        sum(
            a[0] * b[1] - b[0] * a[1]
            for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
        )
        / 2
    )
    assert area == pytest.approx(want)


def test_rule_28_labels_of_copies_are_united_and_what_they_share_is_kept_once() -> None:
    boxes = [box("a.jpg", number=0), box("a.jpg", number=1), box("a.jpg", "dog", (50, 10, 9, 9))]
    dataset = build([picture("a.jpg")], boxes)
    assert dataset.annotations["annotation_id"].to_pylist() == ["a.jpg-cat-0", "a.jpg-dog-0"]
    assert lost(dataset, "deduplicated") == ["a.jpg"]


def test_of_two_equal_boxes_the_one_with_an_outline_stays() -> None:
    outline = {"polygons": [[10.0, 10.0, 30.0, 10.0, 30.0, 30.0]], "rle": None}
    dataset = build(
        [picture("a.jpg")], [box("a.jpg", number=0), box("a.jpg", number=1, segmentation=outline)]
    )
    assert dataset.annotations["annotation_id"].to_pylist() == ["a.jpg-cat-1"]


def test_rule_28_copies_that_disagree_are_reported_and_both_boxes_kept() -> None:
    places = [
        {"source": "s", "name": n, "uri": n, "version": "1", "batch": "b"}
        for n in ("x/a.jpg", "y/a.jpg")
    ]
    boxes = [box("a.jpg", "cat"), box("a.jpg", "dog", (10, 10, 20, 20.5))]
    dataset = build([picture("a.jpg", locations=places)], boxes)
    assert dataset.annotations.num_rows == 2
    assert lost(dataset, "ambiguous") == ["a.jpg"]
    assert lost(build([picture("a.jpg")], boxes), "ambiguous") == []


def test_annotations_of_unknown_superseded_and_deleted_pictures_are_counted() -> None:
    pictures = [
        picture("a.jpg"),
        picture("old.jpg", superseded_by=image_id("a.jpg")),
        picture("gone.jpg", deleted_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ]
    dataset = build(pictures, [box(n) for n in ("a.jpg", "old.jpg", "gone.jpg", "never.jpg")])
    assert dataset.images["file_name"].to_pylist() == ["a.jpg"]
    assert [x.detail for x in dataset.losses if x.kind == "dropped"] == [
        "3 annotations of pictures that are not in the dataset"
    ]


def test_origins_and_scores_decide_which_annotations_count() -> None:
    boxes = [
        box("a.jpg", "cat"),
        box("a.jpg", "dog", origin="codes"),
        box("a.jpg", "owl", origin="text", score=0.2),
        box("a.jpg", "elk", origin="text", score=0.9),
    ]
    dataset = build([picture("a.jpg")], boxes, origins=("labels", "text"), min_score=0.5)
    assert dataset.annotations["category"].to_pylist() == ["cat", "elk"]
    assert [c.name for c in dataset.categories] == ["dog", "cat", "elk"]


def test_rule_17_classes_keep_their_index_and_new_ones_follow() -> None:
    boxes = [box("a.jpg", "zebra"), box("a.jpg", "ant", number=1)]
    dataset = build([picture("a.jpg")], boxes, previous_categories=("cat", "gnu"))
    assert [c.name for c in dataset.categories] == ["cat", "gnu", "dog", "ant", "zebra"]
    assert lost(dataset, "converted") == []


def test_rule_17_classes_without_a_box_stay_and_have_a_real_supercategory() -> None:
    dataset = build([picture("a.jpg")], categories=(Category("dog", "none"), Category("cat", "")))
    assert dataset.categories == (Category("dog", "object"), Category("cat", "object"))


def test_rule_17_an_explicit_order_holds_and_leaves_other_classes_out() -> None:
    boxes = [box("a.jpg", "cat"), box("a.jpg", "dog"), box("a.jpg", "owl")]
    dataset = build(
        [picture("a.jpg")], boxes, classes=("cat", "dog"), previous_categories=("dog", "cat")
    )
    assert [c.name for c in dataset.categories] == ["cat", "dog"]
    assert set(dataset.annotations["category"].to_pylist()) == {"cat", "dog"}
    assert lost(dataset, "dropped") == ["owl"]
    assert lost(dataset, "converted") == ["cat", "dog"]
    with pytest.raises(ConfigError, match="classes"):
        build([picture("a.jpg")], classes=("cat", "cat"))


def test_an_annotation_without_a_category_is_invalid() -> None:
    dataset = build([picture("a.jpg")], [box("a.jpg", None), box("a.jpg", "  ")])
    assert dataset.annotations.num_rows == 0
    assert lost(dataset, "invalid") == ["a.jpg", "a.jpg"]


def test_rule_27_a_negative_is_labelled_and_a_picture_nobody_names_is_not() -> None:
    pictures = [picture("boxed.jpg"), picture("negative.jpg"), picture("unknown.jpg")]
    included = build(pictures, [box("boxed.jpg")], labelled=["boxed.jpg", "negative.jpg"])
    assert included.images["labelled"].to_pylist() == [True, True, False]
    assert lost(included, "unlabelled") == ["unknown.jpg"]
    excluded = build(
        pictures, [box("boxed.jpg")], labelled=["boxed.jpg", "negative.jpg"], unlabelled="exclude"
    )
    assert excluded.images["file_name"].to_pylist() == ["boxed.jpg", "negative.jpg"]
    assert lost(excluded, "unlabelled") == ["unknown.jpg"]


def test_rule_29_one_picture_trains_and_the_loss_says_so() -> None:
    dataset = build([picture("a.jpg")], [box("a.jpg")])
    assert dataset.images["split"].to_pylist() == ["train"]
    assert lost(dataset, "split") == ["dataset"]


def test_near_duplicates_share_a_split_and_nothing_is_dropped_by_default() -> None:
    names = [f"{i:02}.jpg" for i in range(20)]
    dataset = build([picture(n) for n in names], groups=near(names[:12]))
    splits = dict(
        zip(
            dataset.images["file_name"].to_pylist(),
            dataset.images["split"].to_pylist(),
            strict=True,
        )
    )
    assert len(splits) == 20
    assert len({splits[n] for n in names[:12]}) == 1
    assert len(set(dataset.images["group_id"].to_pylist())) == 9


def test_keep_one_keeps_the_labelled_and_largest_and_reports_the_rest() -> None:
    pictures = [
        picture("big.jpg", width=900),
        picture("small.jpg"),
        picture("other.jpg"),
        picture("tiny.jpg", width=9),
    ]
    groups = near(["big.jpg", "small.jpg", "tiny.jpg"])
    dataset = build(
        pictures,
        [box("small.jpg")],
        groups=groups,
        labelled=["small.jpg", "tiny.jpg"],
        near_duplicates="keep_one",
    )
    assert dataset.images["file_name"].to_pylist() == ["other.jpg", "small.jpg"]
    assert lost(dataset, "deduplicated") == ["big.jpg", "tiny.jpg"]


def test_a_picture_kept_in_place_of_an_old_one_takes_its_split() -> None:
    pictures = [
        picture("new.jpg", width=900),
        picture("old.jpg"),
        *(picture(f"{i}.jpg") for i in range(9)),
    ]
    previous = {image_id("old.jpg"): "test"} | {image_id(f"{i}.jpg"): "train" for i in range(9)}
    dataset = build(
        pictures, groups=near(["new.jpg", "old.jpg"]), previous=previous, near_duplicates="keep_one"
    )
    row = next(r for r in dataset.images.to_pylist() if r["file_name"] == "new.jpg")
    assert row["split"] == "test"


def test_ignored_near_duplicates_are_groups_of_their_own() -> None:
    dataset = build(
        [picture("a.jpg"), picture("b.jpg")],
        groups=near(["a.jpg", "b.jpg"]),
        near_duplicates="ignore",
    )
    assert sorted(dataset.images["split"].to_pylist()) == ["train", "val"]


@pytest.mark.parametrize(
    ("by", "groups"), [(("folder",), 3), (("source",), 2), (("folder", "source"), 2)]
)
def test_folders_and_sources_stay_together_when_asked(by: tuple[str, ...], groups: int) -> None:
    def at(source: str, name: str) -> dict[str, Any]:
        place = {"source": source, "name": name, "uri": name, "version": "1", "batch": "b"}
        return picture(name, source=source, locations=[place])

    pictures = [
        at("s", "a/1.jpg"),
        at("s", "a/2.jpg"),
        at("s", "b/3.jpg"),
        at("t", "a/4.jpg"),
        at("t", "a/5.jpg"),
    ]
    dataset = build(pictures, group_by=by)
    assert len(set(dataset.images["group_id"].to_pylist())) == groups


def test_a_link_between_old_splits_is_reported_as_a_conflict() -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    previous = {image_id("a.jpg"): "train", image_id("b.jpg"): "val", image_id("c.jpg"): "train"}
    dataset = build([picture(n) for n in names], groups=near(["a.jpg", "b.jpg"]), previous=previous)
    assert dataset.images["split"].to_pylist() == ["train", "val", "train"]
    assert any(is_conflict(x) for x in dataset.losses)


def test_losses_of_reading_labels_are_passed_on_once() -> None:
    loss = Loss("unmatched", "z.jpg", "no picture")
    assert build([picture("a.jpg")], losses=[loss, loss]).losses.count(loss) == 1


def test_nothing_is_a_dataset_too() -> None:
    dataset = build([])
    assert dataset.images.num_rows == dataset.annotations.num_rows == 0
    assert dataset.images.schema.equals(schemas.DATASET_IMAGES)


PICTURES = [picture("a.jpg"), picture("b.jpg"), picture("c.jpg")]
BOXES = [box("a.jpg"), box("b.jpg", "dog")]
OUTLINE = {"polygons": [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]], "rle": None}


@pytest.mark.parametrize(
    "other",
    [
        lambda: build(PICTURES[:2], BOXES),
        lambda: build(PICTURES, BOXES[:1]),
        lambda: build(PICTURES, [box("a.jpg", xywh=(10, 10, 20, 20.5)), BOXES[1]]),
        lambda: build(PICTURES, [box("a.jpg", score=0.5), BOXES[1]]),
        lambda: build(PICTURES, [box("a.jpg", iscrowd=True), BOXES[1]]),
        lambda: build(PICTURES, [box("a.jpg", text="x"), BOXES[1]]),
        lambda: build(PICTURES, [box("a.jpg", segmentation=OUTLINE), BOXES[1]]),
        lambda: build(PICTURES, [box("a.jpg", "dog"), BOXES[1]]),
        lambda: build(PICTURES, BOXES, categories=CLASSES[::-1]),
        lambda: build(PICTURES, BOXES, categories=(*CLASSES, Category("owl", "animal"))),
        lambda: build(PICTURES, BOXES, previous={image_id("a.jpg"): "test"}),
        lambda: build(PICTURES, BOXES, labelled=["a.jpg", "b.jpg"]),
        lambda: build(PICTURES, BOXES, seed=7),
        lambda: build(PICTURES, BOXES, name="second"),
    ],
)
def test_anything_that_reaches_an_export_makes_another_version(other: Any) -> None:
    assert other().version != build(PICTURES, BOXES).version


def test_a_picture_that_was_moved_elsewhere_leaves_the_version_alone() -> None:
    place = {"source": "t", "uri": "/far/a.jpg", "name": "a.jpg", "version": "9", "batch": "z"}
    moved = [picture("a.jpg", locations=[place], batch="z", uri="/far/a.jpg"), *PICTURES[1:]]
    assert build(moved, BOXES).version == build(PICTURES, BOXES).version


def test_a_version_is_the_beginning_of_the_fingerprint() -> None:
    d = build(PICTURES, BOXES)
    assert dataset_fingerprint(d.images, d.annotations, d.categories, d.settings)[:16] == d.version


def test_a_difference_names_what_was_added_removed_changed_and_moved() -> None:
    fixed = {image_id(n): "train" for n in ("a.jpg", "b.jpg", "c.jpg")}
    before = build(PICTURES, BOXES, previous=fixed)
    after = build(
        [*PICTURES[:2], picture("d.jpg")],
        [BOXES[0], box("b.jpg", "owl", segmentation=OUTLINE)],
        previous=fixed | {image_id("a.jpg"): "val"},
    )
    found = diff(before, after)
    # The groups of these pictures are the same, so one picture's outline changes no other's hash.
    assert found.added == (image_id("d.jpg"),)
    assert found.removed == (image_id("c.jpg"),)
    assert found.changed == (image_id("b.jpg"),)
    assert found.moved == (image_id("a.jpg"),)
    assert found.classes_added == ("owl",)
    assert found.classes_removed == ()
    assert not diff(before, before)
