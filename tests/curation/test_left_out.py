"""What a dataset leaves out of a library, by selection, quality and near-duplicates, and that it says why."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import identity, schemas
from aion_dagster.curation.dataset import Before, DatasetSettings, build_dataset
from aion_dagster.curation.fingerprint import diff
from aion_dagster.curation.group_keys import GivenKeys, NamePattern
from aion_dagster.curation.leaks import leaks, refuse_leaks
from aion_dagster.curation.quality import Quality
from aion_dagster.errors import ConfigError, ExportError
from aion_dagster.values import Dataset


def image_id(name: str) -> str:
    return identity.image_id(identity.digest(name))


def picture(name: str, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(schemas.LIBRARY.names)
    place = {"source": "s", "uri": f"/d/{name}", "name": name, "version": "1", "batch": "b"}
    row |= place | {"image_id": image_id(name), "sha256": identity.digest(name)}
    row |= {"width": 100, "height": 50, "size_bytes": 1000, "locations": [place]}
    return row | columns


def box(name: str, category: str = "cat", x: float = 1.0, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(schemas.ANNOTATIONS.names)
    row |= {"annotation_id": f"{name}-{x}-{category}", "image_id": image_id(name)}
    row |= {"category": category, "bbox": {"x": x, "y": 1.0, "w": 9.0, "h": 9.0}}
    return row | {"iscrowd": False, "origin": "labels"} | columns


def near(*names: str) -> pa.Table:
    rows = [
        {"image_id": image_id(n), "group_id": image_id(names[0]), "group_size": len(names)}
        for n in names
    ]
    return pa.Table.from_pylist(rows, schema=schemas.NEAR_DUPLICATES)


def build(
    pictures: Sequence[dict[str, Any]],
    boxes: Sequence[dict[str, Any]] = (),
    *,
    groups: pa.Table | None = None,
    before: Dataset | None = None,
    selected: Sequence[str] | None = None,
    measures: pa.Table | None = None,
    labelled: Sequence[str] | None = None,
    **settings: Any,
) -> Dataset:
    names = [p["name"] for p in pictures] if labelled is None else labelled
    return build_dataset(
        library=pa.Table.from_pylist(list(pictures), schema=schemas.LIBRARY),
        annotations=pa.Table.from_pylist(list(boxes), schema=schemas.ANNOTATIONS),
        near_duplicates=schemas.NEAR_DUPLICATES.empty_table() if groups is None else groups,
        categories=(),
        labelled=set(map(image_id, names)),
        settings=DatasetSettings(**settings),
        make_names=lambda names, _: (list(names), ()),
        before=before
        and Before(
            before.images.select(["image_id", "split"]),
            tuple(c.name for c in before.categories),
            before.hashes,
        ),
        selected=None if selected is None else pa.array(map(image_id, selected), pa.string()),
        measures=measures,
    )


def left_out(dataset: Dataset) -> dict[str, str]:
    names, reasons = dataset.left_out["name"].to_pylist(), dataset.left_out["reason"].to_pylist()
    return dict(zip(names, reasons, strict=True))


def splits(dataset: Dataset) -> dict[str, str]:
    columns = (dataset.images[c].to_pylist() for c in ("file_name", "split"))
    return dict(zip(*columns, strict=True))


def test_every_picture_of_the_library_is_in_the_dataset_or_in_the_report() -> None:
    pictures = [
        picture("good.jpg"),
        picture("unasked.jpg"),
        picture("small.jpg", width=9),
        picture("sizeless.jpg", width=None),
        picture("unlabelled.jpg"),
        picture("twin.jpg", height=40),
    ]
    dataset = build(
        pictures,
        groups=near("good.jpg", "twin.jpg"),
        selected=["good.jpg", "small.jpg", "unlabelled.jpg", "twin.jpg", "sizeless.jpg"],
        labelled=["good.jpg", "twin.jpg", "small.jpg"],
        unlabelled="exclude",
        near_duplicates="keep_one",
        quality=Quality(min_width=10),
    )
    assert dataset.images["file_name"].to_pylist() == ["good.jpg"]
    assert left_out(dataset) == {
        "unasked.jpg": "not_selected",
        "small.jpg": "quality",
        "sizeless.jpg": "no_size",
        "unlabelled.jpg": "unlabelled",
        "twin.jpg": "near_duplicate",
    }
    assert dataset.left_out.schema.equals(schemas.LEFT_OUT)
    details = dict(zip(dataset.left_out["name"].to_pylist(), dataset.left_out["detail"].to_pylist(), strict=True))  # fmt: skip
    assert details["small.jpg"] == "min_width 10: has 9"
    assert "good.jpg, which is kept" in details["twin.jpg"]
    assert Counter(x.kind for x in dataset.losses if x.subject in details) == {
        "dropped": 1, "invalid": 1, "unlabelled": 1, "deduplicated": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("quality", "kept"),
    [
        (Quality(min_aspect=1.0), ["wide.jpg"]),
        (Quality(max_aspect=1.0), ["tall.jpg"]),
        (Quality(max_bytes=999), []),
        (Quality(min_sharpness=0.5), ["wide.jpg"]),
        (Quality(max_brightness=30), ["tall.jpg"]),
        (Quality(), ["tall.jpg", "wide.jpg"]),
    ],
)
def test_quality_filters_go_by_size_file_and_what_was_measured(
    quality: Quality, kept: list[str]
) -> None:
    pictures = [picture("wide.jpg"), picture("tall.jpg", width=50, height=100)]
    measures = pa.table(
        {
            "image_id": [image_id("wide.jpg"), image_id("tall.jpg")],
            "sharpness": pa.array([0.6, 0.1], pa.float32()),
            "brightness": pa.array([90.0, 10.0], pa.float32()),
        }
    )
    dataset = build(pictures, measures=measures, quality=quality)
    assert dataset.images["file_name"].to_pylist() == kept


def test_a_picture_without_a_measured_value_satisfies_a_condition_on_it() -> None:
    dataset = build([picture("a.jpg")], quality=Quality(min_sharpness=1.0, min_brightness=50))
    assert dataset.images.num_rows == 1


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (("largest",), "big.jpg"),
        (("most_boxes",), "boxed.jpg"),
        (("earliest",), "old.jpg"),
        (("latest",), "new.jpg"),
        (("smallest_file",), "light.jpg"),
        (("labelled", "largest"), "boxed.jpg"),
    ],
)
def test_which_near_duplicate_is_kept_is_said_by_the_rule(rule: Any, kept: str) -> None:
    pictures = [
        picture("big.jpg", width=900),
        picture("boxed.jpg"),
        picture("old.jpg", captured_at=dt.datetime(2020, 1, 1)),
        picture("new.jpg", captured_at=dt.datetime(2026, 1, 1)),
        picture("light.jpg", size_bytes=1),
    ]
    names = [p["name"] for p in pictures]
    dataset = build(
        pictures,
        [box("boxed.jpg")],
        groups=near(*names),
        labelled=["boxed.jpg"],
        near_duplicates="keep_one",
        keep=rule,
    )
    assert dataset.images["file_name"].to_pylist() == [kept]


def test_parts_of_names_and_given_keys_keep_pictures_together() -> None:
    pictures = [picture(f"site{i % 3}/{i:02}.jpg") for i in range(30)]
    dataset = build(pictures, group_by=(NamePattern(r"^(site\d)/"),))
    by_site = splits(dataset)
    for site in range(3):
        assert len({s for name, s in by_site.items() if name.startswith(f"site{site}/")}) == 1
    keys = pa.table(
        {"image_id": [image_id(p["name"]) for p in pictures], "key": [str(i // 10) for i in range(30)]}
    )  # fmt: skip
    given = build(pictures, group_by=(GivenKeys(keys),))
    assert len(set(given.images["group_id"].to_pylist())) == 3
    both = build(pictures, group_by=(GivenKeys(keys), NamePattern(r"^(site\d)/")))
    assert len(set(both.images["group_id"].to_pylist())) == 1
    with pytest.raises(ConfigError, match="regular expression"):
        build(pictures, group_by=(NamePattern("("),))


def test_a_pattern_that_finds_nothing_in_a_name_binds_it_to_nobody() -> None:
    dataset = build([picture("a.jpg"), picture("b.jpg")], group_by=(NamePattern(r"patient(\d+)"),))
    assert len(set(dataset.images["group_id"].to_pylist())) == 2


@given(st.sets(st.integers(0, 25)), st.sets(st.integers(0, 25)), st.data())
def test_rule_25_a_version_built_on_from_another_is_the_one_built_anew(
    old: set[int], new: set[int], data: st.DataObject
) -> None:
    """The hashes that are taken over from an earlier version are those that would be made."""
    changed = data.draw(st.sets(st.sampled_from(sorted(old | new)))) if old | new else set()
    boxes = [box(f"{i}.jpg", x=float(x)) for i in sorted(old | new) for x in range(i % 4)]
    before = build([picture(f"{i}.jpg") for i in old], boxes)
    now = [picture(f"{i}.jpg") for i in new]
    other = [b | {"category": "dog"} if int(b["annotation_id"].split(".")[0]) in changed else b for b in boxes]  # fmt: skip
    grown = build(now, other, before=before)
    fixed = before.images.select(["image_id", "split"])
    anew = build_dataset(
        library=pa.Table.from_pylist(now, schema=schemas.LIBRARY),
        annotations=pa.Table.from_pylist(other, schema=schemas.ANNOTATIONS),
        near_duplicates=schemas.NEAR_DUPLICATES.empty_table(),
        categories=(),
        labelled={p["image_id"] for p in now},
        settings=DatasetSettings(),
        make_names=lambda names, _: (list(names), ()),
        before=Before(fixed, tuple(c.name for c in before.categories)),
    )
    assert grown == anew
    was, is_now = splits(before), splits(grown)
    assert {n: is_now[n] for n in was.keys() & is_now.keys()} == {
        n: was[n] for n in was.keys() & is_now.keys()
    }
    found = diff(before, grown)
    assert set(found.added) == {image_id(f"{i}.jpg") for i in new - old}
    assert set(found.removed) == {image_id(f"{i}.jpg") for i in old - new}
    assert set(found.changed) == {image_id(f"{i}.jpg") for i in old & new & changed if i % 4}
    assert found.moved == ()


def test_a_difference_says_which_boxes_have_another_class_and_who_moved_where() -> None:
    pictures = [picture(f"{i}.jpg") for i in range(4)]
    one = build(pictures, [box("0.jpg"), box("1.jpg", x=5.0)])
    two = build(pictures, [box("0.jpg", "dog"), box("1.jpg", x=5.0), box("1.jpg", x=30.0)], seed=3)
    found = diff(one, two)
    assert found.reclassified == {("cat", "dog"): 1}
    assert (found.annotations_added, found.annotations_removed) == (1, 0)
    assert found.settings["seed"] == (0, 3)
    assert sum(found.moved_between.values()) == len(found.moved)
    assert bool(diff(one, one)) is False


def test_a_new_link_between_pictures_of_two_splits_is_a_leak_that_no_export_is_made_of() -> None:
    pictures = [picture(f"{i:02}.jpg") for i in range(20)]
    before = build(pictures)
    assert leaks(before.images) == []
    refuse_leaks("main", before.images)
    was = splits(before)
    train = next(n for n, s in was.items() if s == "train")
    val = next(n for n, s in was.items() if s == "val")
    after = build(pictures, groups=near(train, val), before=before)
    assert splits(after) == was
    found = leaks(after.images)
    assert [leak.splits for leak in found] == [(("train", 1), ("val", 1))]
    with pytest.raises(ExportError, match="1 in train, 1 in val"):
        refuse_leaks("main", after.images)


def test_captions_and_tags_need_no_box_and_are_kept_once() -> None:
    said = {"bbox": None, "category": None, "origin": "captions", "text": "A cat."}
    rows = [
        box("a.jpg"),
        box("a.jpg", x=2.0, **said),
        box("a.jpg", x=3.0, **said),
        box("a.jpg", "indoors", x=4.0, bbox=None, origin="tags"),
    ]
    dataset = build([picture("a.jpg")], rows, origins=("labels", "captions", "tags"))
    assert Counter(dataset.annotations["origin"].to_pylist()) == {
        "labels": 1, "captions": 1, "tags": 1,
    }  # fmt: skip
    assert [c.name for c in dataset.categories] == ["cat", "indoors"]
    assert build([picture("a.jpg")], rows).annotations["origin"].to_pylist() == ["labels"]


def test_scores_count_by_origin() -> None:
    rows = [
        box("a.jpg", score=0.4, origin="objects"),
        box("a.jpg", "dog", score=0.4, origin="labels"),
    ]
    dataset = build(
        [picture("a.jpg")], rows, origins=("labels", "objects"), min_scores={"objects": 0.5}
    )
    assert dataset.annotations["category"].to_pylist() == ["dog"]
