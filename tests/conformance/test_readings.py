"""The comparison behind `make conformance` notices what a loader sees differently."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import Box, Reading, differences, largest_distance

CLASSES = ("cup", "spoon", "dog")
REFERENCE = Reading(
    "coco",
    "reference",
    "train",
    {"coffee": [("cup", 10, 20, 110, 120), ("spoon", 50.5, 60, 80, 90)], "moon": []},
    CLASSES,
)


def seen(**pictures: list[Box]) -> Reading:
    return replace(REFERENCE, loader="other", pictures=pictures)


def test_two_equal_readings_agree() -> None:
    assert differences(REFERENCE, replace(REFERENCE, loader="other")) == []


@pytest.mark.parametrize(
    ("reading", "complaint"),
    [
        (seen(coffee=[("cup", 10, 20, 110, 120)], moon=[]), "1 boxes instead of 2"),
        (seen(coffee=REFERENCE.pictures["coffee"]), "1 pictures missing, first 'moon'"),
        (seen(**REFERENCE.pictures, sun=[]), "1 pictures too many, first 'sun'"),
        (
            seen(coffee=[("cup", 10, 20, 110, 120), ("dog", 50.5, 60, 80, 90)], moon=[]),
            "1 boxes of class 'dog' instead of 0",
        ),
        (
            seen(coffee=[("cup", 10, 20, 110, 121), ("spoon", 50.5, 60, 80, 90)], moon=[]),
            "a box lies 1.000 px off, 0.001 px are allowed",
        ),
        (replace(REFERENCE, classes=("cup", "spoon")), "classes ('cup', 'spoon') instead of"),
        (replace(REFERENCE, classes=("spoon", "cup", "dog")), "classes ('spoon', 'cup', 'dog')"),
    ],
)
def test_every_kind_of_difference_is_named(reading: Reading, complaint: str) -> None:
    assert any(d.startswith(complaint) for d in differences(REFERENCE, reading))


def test_a_loader_that_knows_only_boxed_classes_is_not_blamed_for_the_others() -> None:
    assert differences(REFERENCE, replace(REFERENCE, classes=None)) == []


def test_a_box_may_lie_as_far_off_as_the_format_rounds() -> None:
    moved = seen(coffee=[("cup", 11, 21, 110, 120), ("spoon", 51, 61, 80, 90)], moon=[])
    assert differences(REFERENCE, replace(moved, tolerance=2.0)) == []


@given(st.data())
def test_the_order_of_boxes_does_not_matter(data: st.DataObject) -> None:
    edge = st.integers(0, 1000)
    box = st.tuples(st.sampled_from(CLASSES), edge, edge, edge, edge)
    boxes = data.draw(st.lists(box, max_size=8, unique=True))
    one = seen(picture=boxes)
    other = seen(picture=data.draw(st.permutations(boxes)))
    assert largest_distance(one, other) == 0
    assert differences(one, other) == []
