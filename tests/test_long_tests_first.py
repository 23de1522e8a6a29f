"""The order in which tests are given to workers."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from long_tests_first import LONG, ordered

NAMES = st.lists(
    st.tuples(st.sampled_from([*LONG, "tests/a/", "tests/b/"]), st.integers(0, 3)), max_size=60
)


@given(NAMES, st.integers(1, 4))
def test_every_test_is_given_once(names: list[tuple[str, int]], workers: int) -> None:
    items = [
        SimpleNamespace(nodeid=f"{folder}test_{number}.py::test_{i}")
        for i, (folder, number) in enumerate(sorted(names))
    ]
    found = ordered(items, workers)  # type: ignore[arg-type] - only ids are looked at
    assert sorted(i.nodeid for i in found) == sorted(i.nodeid for i in items)


def test_each_part_begins_with_its_share_of_the_long_ones() -> None:
    long = [f"tests/e2e/test_{m}.py::test_{i}" for m in range(4) for i in range(2)]
    short = [f"tests/test_{m}.py::test_it" for m in range(32)]
    items = [SimpleNamespace(nodeid=name) for name in [*long, *short]]
    found = [i.nodeid for i in ordered(items, 2)]  # type: ignore[arg-type]
    assert found[:4] == [*long[:2], *long[4:6]]
    assert found[20:24] == [*long[2:4], *long[6:]]
