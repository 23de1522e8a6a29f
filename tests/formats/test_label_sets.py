"""Classes renamed, merged and left out; sets of different classes as one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.formats.label_sets import map_classes, merge_labels, placed, told_apart
from aion_dagster.formats.read_coco import read_coco
from aion_dagster.values import LabelSet

NAMES = ("car", "Car", "auto", "dog", "traffic light")


def labels(*categories: str, file: str = "a.json", **more: Any) -> LabelSet:
    """A picture with a box of each class and a caption, and one without anything."""
    listed = [{"id": i, "name": n, **more} for i, n in enumerate(categories)]
    rows: list[dict[str, Any]] = [
        {"id": i, "image_id": 1, "category_id": i, "bbox": [i, 1, 5, 5]} for i in range(len(listed))
    ]
    rows.append({"id": 99, "image_id": 1, "caption": "hello"})
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in (1, 2)]
    return read_coco({"images": images, "categories": listed, "annotations": rows}, file)


def test_classes_are_renamed_merged_and_left_out():
    mapped = map_classes(
        labels("car", "Car", "dog", "cat"), {"Car": "car", "dog": None, "cat": "pet", "cow": None}
    )
    assert mapped.annotations["category"].to_pylist() == ["car", "car", "pet", None]
    assert [c.name for c in mapped.categories] == ["car", "pet"]
    assert mapped.images.num_rows == 2
    assert [(x.kind, x.subject) for x in mapped.losses] == [
        ("unmatched", "class cow"),
        ("dropped", "class dog"),
    ]
    assert mapped.losses[1].detail == "the class map leaves it out: 1 annotation"
    assert mapped.annotations.schema == schemas.LABEL_ANNOTATIONS


def test_two_classes_may_change_their_names():
    mapped = map_classes(labels("a", "b"), {"a": "b", "b": "a"})
    assert mapped.annotations["category"].to_pylist() == ["b", "a", None]
    assert mapped.losses == ()


def test_merged_classes_whose_keypoints_differ_lose_the_names_of_these():
    pose = labels("person", keypoints=["nose"])
    both = merge_labels([pose, labels("pedestrian", file="b.json")])
    mapped = map_classes(both, {"pedestrian": "person"})
    assert [(c.name, c.keypoints, c.skeleton) for c in mapped.categories] == [("person", (), ())]
    assert map_classes(pose, {"person": "human"}).categories[0].keypoints == ("nose",)


def test_no_map_is_no_change():
    one = labels("a")
    assert map_classes(one, {}) is one


def test_a_prefix_stands_before_every_name_and_the_way_of_matching_beside_it():
    moved = placed(labels("a"), prefix="/site 1/", match="name")
    assert moved.images["file_name"].to_pylist() == ["site 1/1.jpg", "site 1/2.jpg"]
    assert moved.images["match"].to_pylist() == ["name", "name"]
    assert moved.images.schema == schemas.LABEL_IMAGES


def test_sets_of_different_classes_say_what_the_other_may_hide():
    both = merge_labels([labels("car", "dog"), labels("car", "Dog", file="b.json")])
    assert [c.name for c in both.categories] == ["car", "dog", "Dog"]
    assert [(x.kind, x.subject) for x in both.losses] == [
        ("ambiguous", "class dog"),
        ("ambiguous", "a.json"),
        ("ambiguous", "b.json"),
    ]
    assert merge_labels([labels("car"), labels("car", file="b.json")]).losses == ()


maps = st.dictionaries(
    st.sampled_from([*NAMES, "unknown"]), st.one_of(st.none(), st.sampled_from(NAMES))
)


@given(st.lists(st.sampled_from(NAMES), unique=True), maps)
def test_every_annotation_is_there_under_its_new_class_or_counted_as_left_out(names, classes):
    before = labels(*names)
    after = map_classes(before, classes)
    expected = [classes.get(n, n) for n in names]
    assert after.annotations["category"].to_pylist() == [e for e in expected if e is not None] + [
        None
    ]
    left_out = [x for x in after.losses if x.kind == "dropped"]
    assert len(left_out) == expected.count(None)
    assert {c.name for c in after.categories} == {e for e in expected if e is not None}
    assert after.images.equals(before.images)


def test_files_of_the_same_name_are_named_with_the_folders_that_tell_them_apart():
    one, two = labels("car", "", file="ann.json"), labels("car", "", file="ann.json")
    other = map_classes(labels("dog", file="dogs.json"), {"cow": None})
    first, second, third = told_apart([one, two, other], ["/x/a/day", "/x/b/day", "/x/c"])
    assert third is other
    assert first.images["label_file"].unique().to_pylist() == ["a/day/ann.json"]
    assert first.annotations["origin_ref"].to_pylist()[0] == "a/day/ann.json: annotation 0"
    both = merge_labels([first, second, third], compare_classes=False)
    assert len(both.losses) == len(set(both.losses)) == 2 * len(one.losses) + 1
    subjects = [loss.subject for loss in both.losses]
    assert "class cow" in subjects
    assert {s.partition(":")[0] for s in subjects} == {"a/day/ann.json", "b/day/ann.json", "class cow"}  # fmt: skip
    assert one.losses


def test_files_that_are_told_apart_already_and_one_file_read_twice_keep_their_names():
    for sets, folders in (
        ([labels("car", file="a.json"), labels("car", file="b.json")], ["/x", "/y"]),
        ([labels("car"), labels("car")], ["/x", "/x"]),
        ([labels("car")], ["/x"]),
        ([], []),
    ):
        assert all(a is b for a, b in zip(told_apart(sets, folders), sets, strict=True))
