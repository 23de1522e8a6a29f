"""Whatever happens to files, however ticks end: every live version is in exactly one batch, and none is missing."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from crashes import Crash, crash_at
from fresh_database import fresh_database
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import Shelf, Thing

from aion_dagster.errors import SourceUnavailableError
from aion_dagster.ingest import ingest
from aion_dagster.storage import Store

IS_SOAK = os.environ.get("AION_TEST_TIER") == "soak"
SEQUENCES = 500 if IS_SOAK else 15
LONGEST = 60 if IS_SOAK else 40
NUMBERS = itertools.count()

KEYS = st.sampled_from([f"{letter}/{i}.jpg" for letter in "ab" for i in range(4)])
ON_ONE_FILE = ("add", "overwrite, equal size", "overwrite, equal time", "touch", "delete", "re-add")
CHANGES = st.one_of(
    *(st.tuples(st.just(kind), KEYS) for kind in ON_ONE_FILE),
    st.tuples(st.just("rename"), KEYS, KEYS),
)
LIMITS = st.fixed_dictionaries(
    {
        "batch_files": st.integers(1, 4),
        "max_batches": st.none() | st.integers(1, 3),
        "deadline": st.sampled_from([None, 0.0]),
    }
)
SENSOR = st.integers(0, 1)
TICKS = st.one_of(
    st.tuples(st.just("tick"), SENSOR, LIMITS),
    st.tuples(st.just("tick, its cursor is lost"), SENSOR, LIMITS),
    st.tuples(st.just("tick, outage"), SENSOR, LIMITS),
)
TROUBLE = st.one_of(
    st.tuples(st.just("tick, crash"), SENSOR, LIMITS, st.integers(2, 40)),
    st.tuples(st.just("tick, the other one inside"), SENSOR, LIMITS, LIMITS),
    st.tuples(st.just("tick, a change inside"), SENSOR, LIMITS, CHANGES),
    st.tuples(st.just("the log is cut")),
    st.tuples(st.just("all cursors are lost")),
)


class Story:
    """A shelf, a store, and two sensors that look at the one and write into the other."""

    def __init__(self, reopen: Callable[[], Store], *, follows: bool) -> None:
        self.reopen, self.store = reopen, reopen()
        self.shelf = Shelf(f"shelf{next(NUMBERS)}", follows=follows)
        self.cursors: list[str | None] = [None, None]
        self.earlier: dict[str, Thing] = {}
        self.clock = 0

    def happens(self, kind: str, *more: Any) -> None:
        if kind.startswith("tick"):
            self.tick(kind, *more)
        elif kind == "the log is cut":
            self.shelf.forgotten = len(self.shelf.log)
        elif kind == "all cursors are lost":
            self.cursors = [None, None]
        else:
            self.change(kind, *more)

    def change(self, kind: str, key: str, target: str = "") -> None:
        self.clock += 1
        shelf, old = self.shelf, self.shelf.things.get(key)
        if old is None:
            if kind == "re-add" and key in self.earlier:
                shelf.put(key, self.earlier[key])
            elif kind in ("add", "re-add"):
                shelf.put(key, self.new(size=self.clock % 3 + 1))
            return
        self.earlier[key] = old
        if kind == "delete":
            shelf.remove(key)
        elif kind == "rename" and target != key:
            shelf.remove(key)
            shelf.put(target, old)
        elif kind == "touch":
            shelf.put(key, Thing(old.content, old.size, self.clock))
        elif kind == "overwrite, equal time":
            shelf.put(key, Thing(next(NUMBERS), old.size, old.moment))
        elif kind == "overwrite, equal size":
            shelf.put(key, self.new(size=old.size))

    def new(self, *, size: int) -> Thing:
        return Thing(next(NUMBERS), size, self.clock)

    def tick(self, kind: str, sensor: int, limits: dict[str, Any], extra: Any = None) -> None:
        if kind.endswith("outage"):
            self.shelf.outages = 1
        elif kind.endswith("the other one inside"):
            self.shelf.before_return = lambda: self.look(1 - sensor, extra)
        elif kind.endswith("a change inside"):
            self.shelf.before_return = lambda: self.change(*extra)
        before = self.cursors[sensor]
        try:
            with crash_at(extra if kind.endswith("crash") else 0):
                self.look(sensor, limits)
        except Crash:
            self.cursors[sensor] = before
            self.store.close()
            self.store = self.reopen()
        except SourceUnavailableError:
            self.cursors[sensor] = before
        if kind.endswith("lost"):
            self.cursors[sensor] = before
        self.shelf.outages, self.shelf.before_return = 0, None

    def look(self, sensor: int, limits: dict[str, Any]) -> None:
        self.cursors[sensor] = ingest(
            self.shelf, self.store, cursor=self.cursors[sensor], may_be_empty=True, **limits
        ).cursor

    def comes_to_rest(self, *, relist: bool) -> None:
        """Both sensors end their passes, and after that make one more each."""
        self.shelf.relist_seconds = 0.0 if relist else None
        for sensor in (0, 1, 0, 1):
            for _ in range(500):
                self.look(sensor, {"batch_files": 3})
                if self.cursors[sensor] is None:
                    break
            else:
                raise AssertionError("a pass never ends")

    def check(self) -> None:
        store, name = self.store, self.shelf.name
        held: Counter[tuple[str, str]] = Counter()
        for batch in store.ledger.batches(source=name):
            files = store.manifests.read(batch.key)
            assert len(files) == batch.file_count
            held.update((file.uri, file.version) for file in files)
        live = self.shelf.versions()
        assert set(held.values()) <= {1}
        assert set(live.items()) <= set(held)
        current = [(v.uri, v.version) for v in store.ledger.current_versions(source=name)]
        assert len(current) == len(dict(current))
        assert dict(current) == live
        gone = [d.uri for d in store.ledger.deletions(source=name)]
        assert len(gone) == len(set(gone))
        assert set(gone) == {uri for uri, _ in held} - set(live)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def reopen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Store]]:
    """Opens the store of this module; every story has a source of its own in it."""
    folder = tmp_path_factory.mktemp("store")
    with ExitStack() as stack:
        url = None
        if request.param == "postgres":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres")))
        yield lambda: Store.open(folder, ledger_url=url)


@settings(max_examples=SEQUENCES)
@given(
    steps=st.lists(CHANGES | TICKS | TROUBLE, min_size=4, max_size=LONGEST), follows=st.booleans()
)
def test_every_live_version_is_in_exactly_one_batch(
    reopen: Callable[[], Store], steps: list[tuple[Any, ...]], follows: bool
) -> None:
    story = Story(reopen, follows=follows)
    for step in steps:
        story.happens(*step)
    story.comes_to_rest(relist=True)
    story.check()
    story.store.close()


@settings(max_examples=SEQUENCES // 3)
@given(steps=st.lists(CHANGES | TICKS, min_size=4, max_size=LONGEST))
def test_a_log_of_changes_alone_tells_everything_where_ticks_follow_each_other(
    reopen: Callable[[], Store], steps: list[tuple[Any, ...]]
) -> None:
    story = Story(reopen, follows=True)
    for step in steps:
        # One sensor: two would tell each other's past as news.
        story.happens(*((step[0], 0, *step[2:]) if step[0].startswith("tick") else step))
    story.cursors[1] = story.cursors[0]
    story.comes_to_rest(relist=False)
    story.check()
    story.store.close()
