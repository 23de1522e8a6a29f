"""Clusters: groups that lie apart are found, however many there are, and have names of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.pipelines.clusters import clusters, names_of


def groups(sizes: list[int], seed: int = 0, spread: float = 0.05) -> np.ndarray:
    """Unit vectors around as many random directions."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((len(sizes), 64))
    rows = np.repeat(centers / np.linalg.norm(centers, axis=1, keepdims=True), sizes, axis=0)
    rows = rows + rng.standard_normal(rows.shape) * spread
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("sizes", [[9, 9], [20, 8, 4], [12, 6, 5, 4]])
def test_groups_that_lie_apart_are_found_the_largest_first(sizes: list[int]) -> None:
    labels = clusters(groups(sizes), len(sizes))
    assert labels.tolist() == [i for i, size in enumerate(sizes) for _ in range(size)]


@given(st.integers(0, 12), st.integers(0, 5), st.none() | st.integers(1, 20))
def test_every_row_is_in_a_cluster_and_numbers_have_no_gaps(
    rows: int, seed: int, wanted: int | None
) -> None:
    labels = clusters(groups([rows], seed, 0.5) if rows else np.zeros((0, 64), np.float32), wanted)
    assert len(labels) == rows
    assert set(labels.tolist()) == set(range(len(set(labels.tolist()))))
    if wanted is not None:
        assert len(set(labels.tolist())) <= wanted


def test_what_is_all_the_same_is_one_cluster() -> None:
    assert clusters(np.ones((7, 4), np.float32) / 2).tolist() == [0] * 7


def test_names_are_of_words_that_others_do_not_have() -> None:
    texts = ["a boat in a harbour", "a boat at sea", "a tree in a field", "a tree and a hedge"]
    names = names_of(np.array([0, 0, 1, 1]), texts)
    assert names[0].startswith("boat")
    assert names[1].startswith("tree")
    same = names_of(np.array([0, 1, 2]), ["boat", "boat", "boat"])
    assert len(set(same.values())) == 3
