"""Near-duplicate groups against brute force, and what they promise."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster import schemas
from aion_dagster.curation import hash_links
from aion_dagster.curation.groups import group_ids
from aion_dagster.curation.near_duplicates import InvalidHashError, near_duplicate_groups


def brute_force(ids: list[str], hashes: list[int], distance: int) -> set[frozenset[str]]:
    component = {i: i for i in ids}
    for (a, x), (b, y) in itertools.combinations(zip(ids, hashes, strict=True), 2):
        if (x ^ y).bit_count() <= distance and component[a] != component[b]:
            old, new = component[a], component[b]
            component = {i: new if c == old else c for i, c in component.items()}
    groups: dict[str, set[str]] = {}
    for i, c in component.items():
        groups.setdefault(c, set()).add(i)
    return {frozenset(g) for g in groups.values() if len(g) > 1}


def found(ids: list[str], hashes: list[int], distance: int) -> set[frozenset[str]]:
    table = near_duplicate_groups(
        ids, [f"{h:016x}" for h in hashes], [1] * len(ids), distance=distance
    )
    groups: dict[str, set[str]] = {}
    for row in table.to_pylist():
        groups.setdefault(row["group_id"], set()).add(row["image_id"])
    return {frozenset(g) for g in groups.values()}


@st.composite
def clustered_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes that lie around a few centres, at distances about the threshold."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    flips = st.sets(st.integers(0, 63), max_size=7)
    chosen = draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=25))
    return [centre ^ sum(1 << bit for bit in bits) for centre, bits in chosen]


@given(clustered_hashes(), st.integers(0, 8))
def test_every_pair_within_the_distance_is_found_and_no_other(
    hashes: list[int], distance: int
) -> None:
    ids = [f"id{i:02}" for i in range(len(hashes))]
    assert found(ids, hashes, distance) == brute_force(ids, hashes, distance)


@given(st.lists(st.integers(0, 2**20 - 1), max_size=60), st.integers(0, 3))
def test_dividing_large_buckets_loses_no_pair(hashes: list[int], distance: int) -> None:
    spread = [
        int(f"{h:020b}".replace("1", "111").replace("0", "000"), 2) & (2**64 - 1) for h in hashes
    ]
    ids = [f"id{i:02}" for i in range(len(hashes))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_links, "BUCKET_LIMIT", 2)
        assert found(ids, spread, distance) == brute_force(ids, spread, distance)
        assert found(ids, hashes, distance) == brute_force(ids, hashes, distance)


@given(clustered_hashes(), st.randoms(use_true_random=False))
def test_the_groups_do_not_depend_on_the_order_of_rows(
    hashes: list[int], rng: random.Random
) -> None:
    rows = [(f"id{i:02}", f"{h:016x}", rng.randrange(3)) for i, h in enumerate(hashes)]
    shuffled = rng.sample(rows, len(rows))
    one = near_duplicate_groups(
        *(list(c) for c in zip(*rows, strict=True)) if rows else ([], [], [])
    )
    two = near_duplicate_groups(
        *(list(c) for c in zip(*shuffled, strict=True)) if rows else ([], [], [])
    )
    assert one.schema.equals(schemas.NEAR_DUPLICATES)
    assert one.equals(two)


def test_the_largest_picture_represents_its_group_and_the_smallest_id_breaks_a_tie() -> None:
    table = near_duplicate_groups(
        ["d", "c", "b", "a", "z"],
        ["0000000000000000", "0000000000000001", "0000000000000003", "ffffffffffffffff", None],
        [100, 400, 400, 900, 900],
    )
    assert table.to_pylist() == [
        {
            "image_id": "b",
            "group_id": "b",
            "group_size": 3,
            "distance": 0,
            "is_representative": True,
        },
        {
            "image_id": "c",
            "group_id": "b",
            "group_size": 3,
            "distance": 1,
            "is_representative": False,
        },
        {
            "image_id": "d",
            "group_id": "b",
            "group_size": 3,
            "distance": 2,
            "is_representative": False,
        },
    ]


def test_a_chain_of_close_pairs_is_one_group_though_its_ends_are_far_apart() -> None:
    table = near_duplicate_groups(
        ["a", "b", "c"], ["0000000000000000", "000000000000000f", "00000000000000ff"], [3, 2, 1]
    )
    assert table["distance"].to_pylist() == [0, 4, 8]


def test_thousands_of_blank_pages_are_one_group() -> None:
    blank = [f"{1 << (i % 8):016x}" for i in range(20_000)]
    table = near_duplicate_groups([f"{i:05}" for i in range(20_000)], blank, [1] * 20_000)
    assert table["group_size"].unique().to_pylist() == [20_000]


def test_a_crowd_of_hashes_in_one_corner_agrees_with_comparing_all_pairs() -> None:
    rng = np.random.default_rng(3)
    hashes = np.unique(rng.integers(0, 2**40, 3000, dtype=np.uint64) & np.uint64(0x00FF_0F0F_0F0F))
    linked = {
        (int(i), int(j))
        for i in range(len(hashes))
        for j in np.flatnonzero(np.bitwise_count(hashes ^ hashes[i]) <= 2)
        if i < j
    }
    component = group_ids(
        [f"{i:05}" for i in range(len(hashes))],
        _keys(len(hashes), linked),
    )
    sizes = sorted(n for n in np.unique(component, return_counts=True)[1] if n > 1)
    table = near_duplicate_groups(
        [f"{i:05}" for i in range(len(hashes))], [f"{h:016x}" for h in hashes.tolist()], [1] * len(hashes),
        distance=2,
    )  # fmt: skip
    groups = {r["group_id"]: r["group_size"] for r in table.to_pylist()}
    assert sorted(groups.values()) == sizes


def _keys(count: int, pairs: set[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    keys: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for i, j in pairs:
        keys[i].append((i, j))
        keys[j].append((i, j))
    return keys


@pytest.mark.parametrize("bad", ["", "xyz", "000000000000000g", "00000000 0000000", "00" * 9])
def test_a_hash_that_is_none_is_an_error_that_says_so(bad: str) -> None:
    with pytest.raises(InvalidHashError, match="hexadecimal"):
        near_duplicate_groups(["a"], [bad], [1])


@given(
    st.lists(st.sets(st.integers(0, 6), max_size=3), max_size=12), st.randoms(use_true_random=False)
)
def test_pictures_that_share_a_key_are_in_one_group_in_any_order(
    keys: list[set[int]], rng: random.Random
) -> None:
    ids = [f"{i:02}" for i in range(len(keys))]
    groups = dict(zip(ids, group_ids(ids, keys), strict=True))
    for (a, x), (b, y) in itertools.combinations(zip(ids, keys, strict=True), 2):
        if x & y:
            assert groups[a] == groups[b]
    for i, own in zip(ids, keys, strict=True):
        if not own:
            assert groups[i] == i
            assert list(groups.values()).count(i) == 1
    order = rng.sample(range(len(ids)), len(ids))
    again = group_ids([ids[i] for i in order], [keys[i] for i in order])
    assert {ids[i]: g for i, g in zip(order, again, strict=True)} == groups
