"""Merging batches: whatever happened to files before, the library is the same; wherever it ends, nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from crashes import Crash, crash_at
from fresh_database import fresh_database
from hypothesis import given, settings
from hypothesis import strategies as st
from made_library import EVERYTHING, NAMES, World, compact, seen

from aion_dagster.compacting import Limits
from aion_dagster.config import LibraryConfig
from aion_dagster.storage import Store
from aion_dagster.storage.compaction import COMPACTION

FILE = st.tuples(st.sampled_from(["pics", "pics", "scans"]), st.sampled_from(NAMES))
STEP = st.one_of(
    st.tuples(st.just("write"), FILE, st.integers(0, 4)),
    st.tuples(st.just("delete"), FILE),
    st.tuples(st.just("come_back"), FILE),
    st.tuples(st.just("take_in"), st.sampled_from([True, True, True, True, False])),
    st.tuples(st.just("compact"), st.sampled_from([4, 8, 100])),
)


def play(world: World, steps: list[tuple[Any, ...]]) -> None:
    for kind, *arguments in steps:
        if kind == "write":
            (source, name), content = arguments
            world.write(source, name, content)
        elif kind in ("delete", "come_back"):
            getattr(world, kind)(*arguments[0])
        elif kind == "take_in":
            world.take_in(made=arguments[0])
        else:
            check(world, Limits(arguments[0], 10**9, timedelta(0)))
    world.take_in()
    check(world, EVERYTHING)


def check(world: World, limits: Limits) -> None:
    """Merge, and see the same as before; then there is nothing left to merge."""
    before = seen(world.config, world.store)
    world.compact(limits)
    assert seen(world.config, world.store) == before
    assert not (world.store.root / COMPACTION).exists()
    keys = {b.key for b in world.store.ledger.batches()}
    assert set(world.store.tables.batches("images")) <= keys
    assert not keys & world.store.ledger.retired().keys()
    assert world.store.overtaken_manifests() == []


@given(steps=st.lists(STEP, max_size=20))
def test_the_library_is_the_same_after_any_history(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "store")
        play(world, steps)
        world.store.close()


def test_the_same_on_postgres(postgres: str) -> None:
    @settings(max_examples=max(2, settings().max_examples // 12))
    @given(steps=st.lists(STEP, max_size=20))
    def check_history(steps: list[tuple[Any, ...]]) -> None:
        with tempfile.TemporaryDirectory() as folder, fresh_database(postgres) as url:
            world = World(Path(folder) / "store", url)
            play(world, steps)
            world.store.close()

    check_history()


def a_world(place: Path) -> World:
    """A store with six small batches, in which files changed, and came back."""
    world = World(place)
    for number, name in enumerate(NAMES):
        world.write("pics", name, number)
        world.take_in()
    world.write("pics", NAMES[1], 3)
    world.delete("pics", NAMES[2])
    world.take_in()
    world.come_back("pics", NAMES[1])
    return world


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Such a store, never changed."""
    world = a_world(tmp_path_factory.mktemp("world") / "store")
    world.store.close()
    yield world
    world.store.close()


def copied(begun: World, place: Path) -> tuple[LibraryConfig, Store]:
    shutil.copytree(begun.store.root, place)
    return LibraryConfig(store=str(place), datasets=()), Store.open(place)


def test_whatever_step_was_the_last_one_nothing_is_lost(begun: World, tmp_path: Path) -> None:
    before = seen(begun.config, begun.store)
    begun.store.close()
    soak = os.environ.get("AION_TEST_TIER") == "soak"
    boundary, stride, ends = 2, 1 if soak else 17, set()
    while True:
        config, store = copied(begun, tmp_path / str(boundary))
        try:
            with crash_at(boundary) as passed:
                compact(config, store)
        except Crash:
            pass
        else:
            assert passed() > 20
            break
        finally:
            store.close()
        with Store.open(store.root) as again:
            # Others who come before anybody has cleaned up.
            assert seen(config, again) == before
            again.sweep()
            assert seen(config, again) == before
            assert not (again.root / COMPACTION).exists()
            ends.add(len(again.ledger.batches()))
            compact(config, again)
            assert (seen(config, again), len(again.ledger.batches())) == (before, 1)
        shutil.rmtree(store.root)
        boundary += stride
    assert ends == {7, 1}


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from pathlib import Path
from aion_dagster.storage.staged import StagedTable
sys.path.insert(0, sys.argv[1])
from made_library import LibraryConfig, Store, compact
moment, number = sys.argv[3], int(sys.argv[4])

def die(*_):
    global number
    number -= 1
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "commit":
    sa.event.listen(sa.Engine, "commit", die)
elif moment == "table":
    commit = StagedTable.commit
    StagedTable.commit = lambda self: (commit(self), die())[0]
else:
    unlink = Path.unlink
    Path.unlink = lambda self, **named: (unlink(self, **named), self.suffix == ".parquet" and die())[0]
store = Store.open(sys.argv[2])
compact(LibraryConfig(store=sys.argv[2], datasets=()), store)
"""


@pytest.mark.parametrize(("moment", "number"), [("table", 3), ("unlink", 4)])
def test_a_killed_process_leaves_the_old_batches_or_the_new_one(
    begun: World, tmp_path: Path, moment: str, number: int
) -> None:
    before = seen(begun.config, begun.store)
    begun.store.close()
    config, store = copied(begun, tmp_path / "store")
    store.close()
    arguments = [str(Path(__file__).parent), str(store.root), moment, str(number)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments])
    assert killed.returncode == -signal.SIGKILL
    assert (store.root / COMPACTION).is_file()
    with Store.open(store.root) as again:
        assert seen(config, again) == before
        again.sweep()
        assert seen(config, again) == before
        assert len(again.ledger.batches()) == (1 if moment == "unlink" else 7)


def test_files_whose_fate_is_open_keep_their_batches_apart(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    for content in (1, 2):
        world.write("pics", "a.jpg", content)
        world.take_in()
    world.write("pics", "a.jpg", 3)
    world.take_in(made=False)
    before = seen(world.config, world.store)
    assert world.compact() == 0
    assert seen(world.config, world.store) == before


def test_batches_of_different_tables_stay_apart_and_a_team_s_own_table_is_merged(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "store")
    for number, name in enumerate(NAMES[:4]):
        world.write("pics", name, number)
        world.take_in()
    first, second, *_ = (b.key for b in world.store.ledger.batches())
    for batch, type_ in ((first, pa.int8()), (second, pa.int64())):
        rows = pa.table({"image": [batch], "count": pa.array([1], type_)})
        world.store.tables.write("our/counts", rows, batch=batch, schema=rows.schema)
        world.store.ledger.record_build("our/counts", batch, "", 1, {})
    assert world.compact() == 4
    assert [b.file_count for b in world.store.ledger.batches()] == [2, 2]
    counts = world.store.tables.read("our/counts")
    assert counts["image"].to_pylist() == [first, second]
    assert set(counts["batch"].to_pylist()) == {world.store.ledger.batches()[0].key}


def test_batches_of_a_store_in_a_bucket_are_merged(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AION_LOCAL", str(tmp_path / "local"))
    world = World(f"s3://{bucket}/library")
    for number, name in enumerate(NAMES[:3]):
        world.write("pics", name, number)
        world.take_in()
    world.delete("pics", NAMES[1])
    check(world, EVERYTHING)
    assert len(world.store.ledger.batches()) == 1
