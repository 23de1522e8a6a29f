"""Nearest neighbours are exact, and rankings are fused by place alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.vectors import nearest


def unit(rows, columns, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 60), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_hits_are_the_best_of_all_in_order(rows, limit, seed):
    vectors = unit(rows, 8, seed)
    query = unit(1, 8, seed ^ 1)[0]
    names = [f"{i:03d}" for i in range(rows)]
    hits = nearest(names, vectors, query, limit)
    expected = sorted(zip(-(vectors @ query), names, strict=True))[:limit]
    assert [h.image_id for h in hits] == [name for _, name in expected]


def test_a_picture_is_nearest_to_itself_with_score_one():
    vectors = unit(20, 384, 3)
    hit = nearest([str(i) for i in range(20)], vectors, vectors[7], 1)[0]
    assert (hit.image_id, hit.score) == ("7", pytest.approx(1, abs=1e-5))


def test_equal_scores_come_by_id_wherever_they_stand():
    vectors = np.tile(unit(1, 4, 1), (6, 1))
    hits = nearest(["f", "b", "e", "a", "d", "c"], vectors, vectors[0], 3)
    assert [h.image_id for h in hits] == ["a", "b", "c"]


def test_vectors_that_are_no_numbers_are_not_found():
    vectors = np.array([[np.nan, 1], [0, 1]], np.float32)
    assert [h.image_id for h in nearest(["a", "b"], vectors, vectors[1])] == ["b"]


@pytest.mark.parametrize("query", [np.ones(3, np.float32), np.ones((1, 4), np.float32)])
def test_shapes_that_do_not_fit_are_refused(query):
    with pytest.raises(ValueError, match="do not fit"):
        nearest(["a"], np.ones((1, 4), np.float32), query)


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


def test_scores_of_the_lists_do_not_count_and_snippets_are_kept():
    fused = reciprocal_rank([[Hit("a", -5.0)], [Hit("a", 9e9, "an [oak] table"), Hit("b", 8e9)]])
    assert fused[0] == Hit("a", pytest.approx(2 / 61), "an [oak] table")


def test_a_picture_that_a_list_has_twice_counts_once():
    (hit,) = reciprocal_rank([ranking("a", "a", "a")])
    assert hit.score == pytest.approx(1 / 61)


def test_the_limit_holds():
    assert len(reciprocal_rank([ranking(*"abcdef")], limit=2)) == 2
    assert reciprocal_rank([], limit=2) == []
