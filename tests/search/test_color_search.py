"""Pictures are found by the colors they have, near ones first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.compute.colors import delta_e_2000, hex_to_lab
from aion_dagster.errors import AionError
from aion_dagster.search.colors import ColorQueryError, by_color


def color(code, percentage, *, name=None, family=None, lab=True):
    values = [float(v) for v in hex_to_lab(code)] if lab else [None] * 3
    empty = {field.name: None for field in schemas.DOMINANT_COLOR}
    shown = {"hex": code, "percentage": percentage, "name": name, "family": family}
    return empty | shown | dict(zip(("lab_l", "lab_a", "lab_b"), values, strict=True))


def table(pictures, *, chunk=2):
    """A table in several chunks, as it comes out of several batches."""
    rows = [{"image_id": i, "dominant_colors": colors} for i, colors in pictures.items()]
    return pa.concat_tables(
        [
            pa.Table.from_pylist(rows[start : start + chunk], schema=schemas.COLOR_ANALYSES)
            for start in range(0, len(rows), chunk)
        ]
        or [schemas.COLOR_ANALYSES.empty_table()]
    )


LIBRARY = table(
    {
        "sand": [
            color("#c4a87c", 60, name="sand", family="earth_tone"),
            color("#222222", 40, name="charcoal", family="neutral"),
        ],
        "near": [color("#c8ab80", 80, name="Sand", family="earth_tone")],
        "trace": [
            color("#c4a87c", 2, name="sand", family="earth_tone"),
            color("#3060c0", 98, name="cobalt", family="cool"),
        ],
        "none": None,
        "empty": [],
        "grey": [color("#808080", 100, name="gray", family="neutral")],
    }
)


def ids(hits):
    return [hit.image_id for hit in hits]


def test_the_very_color_scores_one_and_near_ones_follow():
    hits = by_color(LIBRARY, hex="#c4a87c")
    assert ids(hits) == ["sand", "near"]
    assert hits[0].match_score == pytest.approx(1, abs=1e-5)
    assert 0.8 < hits[1].match_score < 1
    assert (hits[0].matched_hex, hits[0].matched_percentage) == ("#c4a87c", 60)


def test_a_share_below_the_minimum_does_not_count():
    assert ids(by_color(LIBRARY, hex="#c4a87c", min_percentage=0)) == ["sand", "trace", "near"]
    assert ids(by_color(LIBRARY, hex="#c4a87c", min_percentage=70)) == ["near"]


def test_the_threshold_bounds_the_difference():
    apart = float(delta_e_2000(hex_to_lab("#c8ab80"), hex_to_lab("#c4a87c")))
    assert "near" not in ids(by_color(LIBRARY, hex="#c4a87c", delta_e_threshold=apart * 0.99))
    assert "near" in ids(by_color(LIBRARY, hex="#c4a87c", delta_e_threshold=apart * 1.01))


def test_names_and_families_are_found_without_regard_to_case_larger_shares_first():
    assert ids(by_color(LIBRARY, name="SAND ")) == ["near", "sand"]
    assert ids(by_color(LIBRARY, family="Neutral")) == ["grey", "sand"]
    assert {h.match_score for h in by_color(LIBRARY, name="sand")} == {1.0}


def test_everything_asked_for_must_hold_for_one_color():
    assert ids(by_color(LIBRARY, hex="#c4a87c", family="cool")) == []
    assert ids(by_color(LIBRARY, hex="#3464c4", family="cool")) == ["trace"]


def test_a_picture_is_one_hit_by_its_best_color():
    doubled = table({"a": [color("#ff0000", 30), color("#f00000", 60)]})
    (hit,) = by_color(doubled, hex="#ff0000")
    assert (hit.matched_hex, hit.matched_percentage) == ("#ff0000", 30)


@pytest.mark.parametrize("code", ["#C4A87C", "c4a87c"])
def test_a_hex_may_be_written_as_people_do(code):
    assert by_color(LIBRARY, hex=code) == by_color(LIBRARY, hex="#c4a87c")
    assert by_color(LIBRARY, hex="#888") == by_color(LIBRARY, hex="#888888")


@pytest.mark.parametrize("code", ["", "#", "#12", "#12345g", "#1234567", "tan", "#c4a87c\n"])
def test_a_bad_hex_is_refused_with_an_example(code):
    with pytest.raises(ColorQueryError, match="'#c4a87c'") as raised:
        by_color(LIBRARY, hex=code)
    assert isinstance(raised.value, AionError)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ColorQueryError, match="above 0"):
        by_color(LIBRARY, hex="#fff", delta_e_threshold=threshold)


def test_asking_for_nothing_is_refused():
    with pytest.raises(ColorQueryError, match="name a color"):
        by_color(LIBRARY)


def test_rows_without_lab_are_compared_by_their_hex():
    remote = table({"a": [color("#c4a87c", 50, lab=False)], "b": [color("#0000ff", 50)]})
    assert ids(by_color(remote, hex="#c4a87c")) == ["a"]


def test_an_empty_library_has_no_color():
    assert by_color(schemas.COLOR_ANALYSES.empty_table(), hex="#c4a87c") == []


hexes = st.integers(0, 0xFFFFFF).map(lambda v: f"#{v:06x}")


@given(st.lists(hexes, max_size=60), hexes, st.floats(0.5, 60))
def test_no_color_within_the_threshold_is_missed(palette, asked, threshold):
    pictures = table({f"{i:02d}": [color(code, 50)] for i, code in enumerate(palette)}, chunk=7)
    found = {
        h.image_id: h.match_score
        for h in by_color(pictures, hex=asked, delta_e_threshold=threshold, limit=100)
    }
    for i, code in enumerate(palette):
        score = 1 - float(delta_e_2000(hex_to_lab(code), hex_to_lab(asked))) / threshold
        if abs(score) > 1e-4:
            assert (f"{i:02d}" in found) == (score > 0)
        if score > 1e-4:
            assert found[f"{i:02d}"] == pytest.approx(score, abs=1e-3)


def test_saturated_blues_that_are_far_apart_in_lab_are_not_missed():
    rng = np.random.default_rng(1)
    blues = [f"#{r:02x}{g:02x}ff" for r, g in rng.integers(0, 160, (300, 2))]
    pictures = table({f"{i:03d}": [color(code, 50)] for i, code in enumerate(blues)}, chunk=50)
    expected = {
        f"{i:03d}"
        for i, code in enumerate(blues)
        if delta_e_2000(hex_to_lab(code), hex_to_lab("#0000ff")) < 15
    }
    assert set(ids(by_color(pictures, hex="#0000ff", limit=300))) == expected


def test_the_limit_keeps_the_best():
    many = table({f"{i:02d}": [color(f"#{200 + i:02x}a080", 50)] for i in range(20)})
    assert ids(by_color(many, hex="#c8a080", limit=3)) == ["00", "01", "02"]
