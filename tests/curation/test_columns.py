"""Ids are found in one another, and hashes parsed, as if one by one."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.curation import columns
from aion_dagster.curation.columns import is_ascending, is_constant, parse_hex, places_in, text


@pytest.fixture(autouse=True, scope="module")
def few_at_once() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "IDS_AT_ONCE", 3)
        yield


UUIDS = st.integers(0, 40).map(lambda n: str(uuid.UUID(int=(n % 5) << 96 | n)))
"""Many of them begin alike."""
HEX = st.integers(0, 40).map(lambda n: f"{n % 20:08x}-{n:02}") | st.integers(0, 40).map(lambda n: f"{n:08X}-00")  # fmt: skip
"""Digits of both cases, whose numbers rank otherwise."""
ALIKE = st.integers(0, 40).map(lambda n: f"00000000-{n:04}")
LISTS = st.lists(UUIDS) | st.lists(HEX) | st.lists(ALIKE) | st.lists(st.text("ab", max_size=9)) | st.lists(UUIDS | ALIKE)  # fmt: skip


@given(LISTS, LISTS, st.booleans())
def test_an_id_is_found_where_it_stands_first(ids: list[str], among: list[str], ordered: bool) -> None:  # fmt: skip
    if ordered:
        ids, among = sorted(ids), sorted(among)
    expected = [among.index(i) if i in among else -1 for i in ids]
    assert places_in(ids, among).tolist() == expected
    at = len(among) // 2
    in_parts = pa.chunked_array([pa.array(among[:at], pa.string()), pa.array(among[at:], pa.string())])  # fmt: skip
    assert places_in(pa.array(ids, pa.string()), in_parts).tolist() == expected
    # Parts of longer columns, of both kinds of strings.
    longer = pa.array([*among[:1], "é", *among, "é"], pa.large_string())[len(among[:1]) + 1 : -1]
    assert places_in(pa.array(["é", *ids], pa.string())[1:], longer).tolist() == expected


@given(LISTS, st.booleans())
def test_ascending_means_every_one_above_the_one_before(values: list[str], ordered: bool) -> None:
    if ordered:
        values = sorted(set(values))
    encoded = [v.encode() for v in values]
    assert is_ascending(text(values)) == all(a < b for a, b in itertools.pairwise(encoded))  # fmt: skip


@given(st.lists(st.none() | st.sampled_from(["a", "b", "ab"]), max_size=4), st.booleans())
def test_constant_means_the_same_string_in_every_row(values: list[str | None], alike: bool) -> None:
    values = [values[0]] * len(values) if alike and values else values
    column = pa.chunked_array([pa.array(["x", *values], pa.string())[1:]])
    assert is_constant(column) == (len(set(values)) == 1 and None not in values)


def test_an_id_that_is_absent_is_found_nowhere() -> None:
    assert places_in([None, "b"], ["a", "b"]).tolist() == [-1, 1]


@given(st.lists(st.integers(0, 2**64 - 1)), st.sampled_from(["{:016x}", "{:016X}"]))
def test_hexadecimal_digits_are_numbers(values: list[int], form: str) -> None:
    numbers, wrong = parse_hex(text([form.format(v) for v in values]))
    assert numbers.tolist() == values
    assert not wrong.any()


@pytest.mark.parametrize("bad", ["", "12", "g" * 16, "0" * 15 + " ", " " * 16, "0" * 17, "é" * 8])
def test_what_is_no_hash_is_told(bad: str) -> None:
    numbers, wrong = parse_hex(text(["0" * 15 + "f", bad]))
    assert wrong.tolist() == [False, True]
    assert numbers[0] == np.uint64(15)
