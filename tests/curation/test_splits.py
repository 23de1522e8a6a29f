"""Splits: groups stay whole, old rows stay where they are, shares are met."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.curation import splits
from aion_dagster.curation.splits import assign_splits, is_conflict
from aion_dagster.errors import ConfigError


@pytest.fixture(autouse=True, scope="module")
def few_at_once() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "LABELS_AT_ONCE", 3)
        yield


SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
Row = tuple[str, str, dict[str, int]]


@st.composite
def pictures(draw: st.DrawFn, *, min_size: int = 0) -> list[Row]:
    """Pictures with groups and label counts."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 8),
                st.dictionaries(
                    st.sampled_from(["cat", "dog", "owl"]), st.integers(1, 4), max_size=3
                ),
            ),
            min_size=min_size,
            max_size=40,
        )
    )
    return [(f"p{i:02}", f"g{group}", counts) for i, (group, counts) in enumerate(drawn)]


def assign(rows: list[Row], shares: dict[str, float] = SHARES, **options: object):  # type: ignore[no-untyped-def]
    columns = [list(c) for c in zip(*rows, strict=True)] if rows else [[], [], []]
    return assign_splits(*columns, shares, **options)


@given(pictures(), st.integers(0, 3))
def test_a_group_is_never_cut(rows: list[Row], seed: int) -> None:
    splits, _ = assign(rows, seed=seed)
    assert set(splits) == {i for i, _, _ in rows}
    for group in {g for _, g, _ in rows}:
        assert len({splits[i] for i, g, _ in rows if g == group}) == 1


@given(pictures(), st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_rows(rows: list[Row], rng: random.Random) -> None:
    assert assign(rng.sample(rows, len(rows))) == assign(rows)


@given(pictures())
def test_two_groups_are_enough_for_train_and_val(rows: list[Row]) -> None:
    splits, losses = assign(rows)
    groups = {g for _, g, _ in rows}
    if len(groups) >= 2:
        assert {"train", "val"} <= set(splits.values())
        labelled = {g for _, g, c in rows if c}
        if len(labelled) >= 2:
            assert any(splits[i] == "val" and c for i, _, c in rows)
    else:
        assert set(splits.values()) <= {"train"}
        assert [x.kind for x in losses] == ["split"]


@pytest.mark.parametrize("count", [1, 5])
def test_rule_29_one_group_is_all_train_and_reported(count: int) -> None:
    splits, losses = assign([(f"p{i}", "g", {"cat": 1}) for i in range(count)])
    assert set(splits.values()) == {"train"}
    assert [(x.kind, x.subject) for x in losses] == [("split", "dataset")]
    assert "val repeats train" in losses[0].detail
    assert not is_conflict(losses[0])


@given(pictures(), pictures(), st.integers(0, 3))
def test_new_pictures_never_move_an_old_one(old: list[Row], new: list[Row], seed: int) -> None:
    before, _ = assign(old, seed=seed)
    added = [(f"new-{i}", g, c) for i, g, c in new]
    after, losses = assign(old + added, seed=seed + 1, previous=before)
    assert {i: after[i] for i in before} == before
    assert not any(is_conflict(x) for x in losses)
    home = {g: before[i] for i, g, _ in old}
    for i, g, _ in added:
        assert after[i] == home.get(g, after[i])


def test_a_link_that_joins_groups_of_different_splits_is_a_conflict_and_moves_nothing() -> None:
    rows: list[Row] = [("a", "one", {}), ("b", "one", {}), ("c", "one", {}), ("d", "two", {})]
    splits, losses = assign(rows, previous={"a": "train", "b": "train", "c": "val", "d": "test"})
    assert splits == {"a": "train", "b": "train", "c": "val", "d": "test"}
    conflicts = [x for x in losses if is_conflict(x)]
    assert [x.subject for x in conflicts] == ["one"]
    assert "2 in train" in conflicts[0].detail
    assert "1 in val" in conflicts[0].detail


def test_shares_and_labels_are_met_on_many_pictures() -> None:
    rng = np.random.default_rng(1)
    names = [f"label{k}" for k in range(20)]
    odds = 0.5 ** np.arange(1, 21)
    odds = np.maximum(odds / odds.sum(), 0.002)
    rows: list[Row] = []
    for i in range(12_000):
        drawn = rng.choice(names, size=rng.integers(0, 5), p=odds / odds.sum())
        rows.append((f"p{i:05}", f"g{rng.integers(0, 9000)}", dict(Counter(drawn.tolist()))))
    splits, losses = assign(rows)
    assert losses == ()
    pictures_in = Counter(splits.values())
    labels_in: Counter[tuple[str, str]] = Counter()
    totals: Counter[str] = Counter()
    for i, _, counts in rows:
        for name, n in counts.items():
            labels_in[splits[i], name] += n
            totals[name] += n
    for split, share in SHARES.items():
        assert abs(pictures_in[split] / len(rows) - share) < 0.005
        for name, total in totals.items():
            assert abs(labels_in[split, name] - share * total) <= max(3, 0.01 * total)


def test_a_few_labelled_pictures_among_many_reach_val() -> None:
    rows: list[Row] = [(f"p{i:03}", f"p{i:03}", {"cat": 1} if i < 2 else {}) for i in range(300)]
    splits, _ = assign(rows)
    assert sorted(splits[f"p{i:03}"] for i in range(2)) == ["train", "val"]


def test_a_seed_changes_who_is_where_but_not_how_many() -> None:
    rows: list[Row] = [(f"p{i:03}", f"p{i:03}", {}) for i in range(200)]
    one, two = assign(rows, seed=1)[0], assign(rows, seed=2)[0]
    assert one != two
    assert Counter(one.values()) == Counter(two.values()) == {"train": 160, "val": 20, "test": 20}


def test_a_split_without_a_share_stays_empty_and_shares_may_be_counts() -> None:
    rows: list[Row] = [(f"p{i}", f"p{i}", {}) for i in range(50)]
    splits, losses = assign(rows, {"train": 4, "val": 1, "test": 0})
    assert Counter(splits.values()) == {"train": 40, "val": 10}
    assert losses == ()


def test_a_split_that_cannot_be_filled_is_reported() -> None:
    splits, losses = assign([("a", "a", {}), ("b", "b", {})])
    assert sorted(splits.values()) == ["train", "val"]
    assert [x.subject for x in losses] == ["test"]


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": -1.0}, {"train": float("nan")}])
def test_shares_that_cannot_be_used_are_a_configuration_error(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares"):
        assign([("a", "a", {})], shares)
