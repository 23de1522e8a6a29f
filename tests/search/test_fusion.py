"""Rankings are fused by place alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit


def ranking(*ids):
    return [Hit(image_id, 1000.0 - i) for i, image_id in enumerate(ids)]


rankings = st.lists(
    st.lists(st.sampled_from("abcdefgh"), unique=True).map(lambda ids: ranking(*ids)), max_size=4
)


def test_what_both_rankings_have_comes_before_what_one_has():
    fused = reciprocal_rank([ranking("a", "b", "c"), ranking("c", "d")])
    assert [h.image_id for h in fused] == ["c", "a", "b", "d"]
    assert fused[0].score == pytest.approx(1 / 63 + 1 / 61)


@given(rankings)
def test_a_fused_score_is_the_sum_over_the_lists_that_have_the_picture(lists):
    fused = reciprocal_rank(lists, limit=100)
    for hit in fused:
        places = [
            [h.image_id for h in r].index(hit.image_id)
            for r in lists
            if hit.image_id in [h.image_id for h in r]
        ]
        assert hit.score == pytest.approx(sum(1 / (61 + place) for place in places))
    assert {h.image_id for h in fused} == {h.image_id for r in lists for h in r}
    assert [h.score for h in fused] == sorted((h.score for h in fused), reverse=True)


@given(rankings, st.randoms())
def test_the_order_of_the_lists_does_not_matter(lists, random):
    shuffled = random.sample(lists, len(lists))
    one, other = reciprocal_rank(lists), reciprocal_rank(shuffled)
    assert {h.image_id: pytest.approx(h.score) for h in one} == {h.image_id: h.score for h in other}


def test_scores_of_the_lists_do_not_count():
    fused = reciprocal_rank([[Hit("a", -5.0)], [Hit("a", 9e9), Hit("b", 8e9)]])
    assert fused[0] == Hit("a", pytest.approx(2 / 61))


def test_a_picture_that_a_list_has_twice_counts_once():
    (hit,) = reciprocal_rank([ranking("a", "a", "a")])
    assert hit.score == pytest.approx(1 / 61)


def test_the_limit_holds():
    assert len(reciprocal_rank([ranking(*"abcdef")], limit=2)) == 2
    assert reciprocal_rank([], limit=2) == []
