"""Near-duplicates found on from an earlier index are those that are found anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.curation import hash_links
from aion_dagster.curation.near_duplicates import InvalidHashError, find_near_duplicates

CENTRES = (0x0123456789ABCDEF, 0xFEDCBA9876543210)


@st.composite
def libraries(draw: st.DrawFn) -> dict[str, tuple[str, int]]:
    """id → hash and area, of hashes around two centres."""
    found = {}
    for name in draw(st.sets(st.integers(0, 30), max_size=25)):
        bits = draw(st.sets(st.integers(0, 63), max_size=5))
        value = draw(st.sampled_from(CENTRES)) ^ sum(1 << bit for bit in bits)
        found[f"id{name:02}"] = (f"{value:016x}", draw(st.integers(1, 3)))
    return found


def columns(library: dict[str, tuple[str, int]]) -> tuple[list[str], list[str], list[int]]:
    return list(library), [h for h, _ in library.values()], [a for _, a in library.values()]


@given(libraries(), libraries(), st.integers(0, 6))
def test_pictures_that_come_go_or_change_leave_what_beginning_anew_would_find(
    before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]], distance: int
) -> None:
    first = find_near_duplicates(*columns(before), distance=distance)
    second = find_near_duplicates(*columns(before | after), distance=distance, earlier=first.index)
    assert second.table == find_near_duplicates(*columns(before | after), distance=distance).table
    third = find_near_duplicates(*columns(after), distance=distance, earlier=second.index)
    anew = find_near_duplicates(*columns(after), distance=distance)
    assert third.table == anew.table
    assert third.index == anew.index


@given(
    st.lists(st.tuples(st.sampled_from(CENTRES), st.sets(st.integers(0, 63), max_size=4)), max_size=8),
    st.lists(st.tuples(st.sampled_from(CENTRES), st.sets(st.integers(0, 63), max_size=4)), max_size=8),
    st.integers(0, 7),
    st.sampled_from([0, 100]),
)  # fmt: skip
def test_every_pair_of_a_new_and_a_known_hash_is_found(
    new: list[tuple[int, set[int]]], known: list[tuple[int, set[int]]], distance: int, few: int
) -> None:
    mine, theirs = (
        [centre ^ sum(1 << bit for bit in bits) for centre, bits in given] for given in (new, known)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_links, "FEW", few)
        found = hash_links.links_to_known(np.array(mine, np.uint64), np.array(theirs, np.uint64), distance)  # fmt: skip
        assert found is not None
        pairs = {p for a, b in found for p in zip(a.tolist(), b.tolist(), strict=True)}
    assert pairs == {
        (a, b)
        for a, m in enumerate(mine)
        for b, t in enumerate(theirs)
        if (m ^ t).bit_count() <= distance
    }


def test_only_what_is_new_is_compared() -> None:
    rng = np.random.default_rng(7)
    library = {f"{i:05}": (f"{h:016x}", 1) for i, h in enumerate(rng.integers(0, 2**63, 3000))}
    new = {"new-0": (library["00007"][0], 9), "new-1": (f"{2**64 - 1:016x}", 1)}
    first = find_near_duplicates(*columns(library))
    assert first.compared == 3000
    grown = find_near_duplicates(*columns(library | new), earlier=first.index)
    assert grown.compared == 2
    assert grown.table["image_id"].to_pylist() == ["00007", "new-0"]
    assert grown.table["group_id"].unique().to_pylist() == ["new-0"]
    shrunk = {k: v for k, v in library.items() if k != "00007"}
    assert find_near_duplicates(*columns(shrunk), earlier=grown.index).table.num_rows == 0


def test_where_too_many_pairs_would_have_to_be_compared_it_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hash_links, "PAIR_LIMIT", 0)
    library = {f"{i:05}": (f"{i << 8:016x}", 1) for i in range(100)}
    first = find_near_duplicates(*columns(library), distance=1)
    grown = find_near_duplicates(
        *columns(library | {"new": ("0000000000000100", 1)}), distance=1, earlier=first.index
    )
    assert grown.compared == 101
    assert "new" in grown.table["image_id"].to_pylist()


def test_a_picture_without_a_hash_joins_no_group_and_a_wrong_hash_is_named() -> None:
    assert find_near_duplicates(["a", "b"], [None, "0" * 16], [1, 1]).table.num_rows == 0
    with pytest.raises(InvalidHashError, match="picture b"):
        find_near_duplicates(["a", "b"], ["0" * 16, "zz"], [1, 1])
