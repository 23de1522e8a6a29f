"""Merging batches: whatever happened to files before, the library is the same; wherever it ends, nothing is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from crashes import Crash, crash_at
from fresh_database import fresh_database
from hypothesis import given, settings
from hypothesis import strategies as st

from aion_dagster import identity, schemas
from aion_dagster.compacting import Compacting, Limits
from aion_dagster.config import LibraryConfig
from aion_dagster.curation.library import DELETED_FILE, FILE_VERSION, build_library
from aion_dagster.planning import Planner, configured_backend, partitioned_assets
from aion_dagster.rebuilding import ledger_problem, rebuild_ledger
from aion_dagster.storage import BatchRecord, Store
from aion_dagster.storage.compaction import COMPACTION
from aion_dagster.values import FileRef

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Limits(100, 10**9, timedelta(0))
NAMES = [f"{name}.jpg" for name in "abcdef"]


class World:
    """Files of two sources, and a store that takes them in as they change; tables are made, not computed."""

    def __init__(self, place: Path | str, ledger_url: str | None = None) -> None:
        self.store = Store.open(place, ledger_url=ledger_url)
        self.config = LibraryConfig(store=str(place), datasets=())
        self.waiting: dict[tuple[str, str], FileRef] = {}
        self.content: dict[FileRef, int] = {}
        self.versions: dict[tuple[str, str], list[FileRef]] = {}

    def write(self, source: str, name: str, content: int) -> None:
        """A file is new, or changes, or is touched."""
        versions = self.versions.setdefault((source, name), [])
        number = len(versions)
        ref = FileRef(source, f"file:///{source}/{name}", name, str(number), 1, MOMENT)
        versions.append(ref)
        self.content[ref] = content
        self.waiting[source, name] = ref

    def come_back(self, source: str, name: str) -> None:
        """The first version of a file is back."""
        known = [r for r in self.versions.get((source, name), ()) if self._is_known(r)]
        if known:
            self.waiting.pop((source, name), None)
            self.store.ledger.mark_current(known[:1])

    def delete(self, source: str, name: str) -> None:
        """A file goes."""
        self.waiting.pop((source, name), None)
        self.store.ledger.mark_deleted(source, [f"file:///{source}/{name}"])

    def take_in(self, *, made: bool = True) -> None:
        """What waits becomes a batch of each source, with its tables."""
        for source in ("pics", "scans"):
            files = [ref for (s, _), ref in sorted(self.waiting.items()) if s == source]
            if files:
                self._batch(source, files, made)
        self.waiting.clear()

    def _batch(self, source: str, files: list[FileRef], made: bool) -> None:
        key = identity.batch_key(source, files)
        self.store.manifests.write(key, files)
        record = BatchRecord(key, source, identity.manifest_digest(files), len(files), len(files))
        self.store.ledger.record_batch(record, files)
        if not made:
            return
        self.store.ledger.mark_started(key)
        planner = Planner(self.config, self.store, configured_backend(self.config))
        prints = planner.expected(key)
        for table in partitioned_assets(self.config):
            rows = self._rows(table, files)
            self.store.tables.write(table, rows, batch=key)
            self.store.ledger.record_build(table, key, prints[table], rows.num_rows, {})
        contents = {self._sha(ref) for ref in files if self.content[ref]}
        self.store.ledger.record_results("work", "1", key, contents)

    def _rows(self, table: str, files: list[FileRef]) -> pa.Table:
        schema = schemas.TABLES[table]
        found: list[dict[str, Any]] = []
        if table == "images":
            found = [self._image(ref) for ref in files]
        elif table == "label_losses":
            found = [
                {"kind": "unmatched", "subject": ref.name, "detail": ref.version} for ref in files
            ]
        elif table == "annotations":
            found = [
                {"annotation_id": f"{ref.name}-{i}", "image_id": self._id(ref)}
                for ref in files
                for i in (1, 2)
            ]
        elif "image_id" in schema.names and table != "label_matches":
            ids = dict.fromkeys(self._id(ref) for ref in files if self.content[ref])
            found = [{"image_id": image} for image in ids]
        return pa.Table.from_pylist(found, schema)

    def _image(self, ref: FileRef) -> dict[str, Any]:
        row = {"source": ref.source, "uri": ref.uri, "name": ref.name, "version": ref.version}
        row |= {"size_bytes": ref.size_bytes, "modified_at": ref.modified_at}
        if not self.content[ref]:
            return {**row, "status": "unreadable"}
        return {**row, "status": "ok", "image_id": self._id(ref), "sha256": self._sha(ref)}

    def _sha(self, ref: FileRef) -> str:
        return hashlib.sha256(str(self.content[ref]).encode()).hexdigest()

    def _id(self, ref: FileRef) -> str:
        return identity.image_id(self._sha(ref))

    def _is_known(self, ref: FileRef) -> bool:
        return ref.version in self.store.ledger.known_versions(ref.source, [ref.uri]).get(
            ref.uri, ()
        )

    def compact(self, limits: Limits = EVERYTHING) -> int:
        """Merge what may be merged; how many batches that were."""
        return compact(self.config, self.store, limits)


def compact(config: LibraryConfig, store: Store, limits: Limits = EVERYTHING) -> int:
    compacting = Compacting(config, store)
    groups = compacting.groups(limits)
    compacting.merge(groups, lambda _batch: None)
    return sum(map(len, groups))


def seen(config: LibraryConfig, store: Store) -> dict[str, Any]:
    """What readers make of the store, but for the names of batches."""
    planner = Planner(config, store, configured_backend(config))
    images = store.tables.dataset("images")
    usable = pa.array(sorted(planner.usable_batches()), pa.string())
    rows = images.to_table(filter=ds.field("batch").isin(usable))
    current = [
        {"source": v.source, "uri": v.uri, "version": v.version}
        for v in store.ledger.current_versions()
    ]
    deleted = [d._asdict() for d in store.ledger.deletions()]
    library = build_library(
        rows,
        {b.key: b.seq for b in store.ledger.batches()},
        pa.Table.from_pylist(current, FILE_VERSION),
        pa.Table.from_pylist(deleted, DELETED_FILE),
    ).table.to_pylist()
    for row in library:
        row.pop("batch")
        row["locations"] = [{k: v for k, v in p.items() if k != "batch"} for p in row["locations"]]
    results = store.ledger.find_results("work", "1", [r["sha256"] for r in library])
    written = set(store.tables.batches("descriptions"))
    assert set(results.values()) <= written
    return {
        "library": library,
        "current": sorted(map(str, current)),
        "deleted": sorted(map(str, deleted)),
        "results": sorted(results),
        "stale": {b for b in planner.plan().batches if b not in written},
        **{t: _contents(store, t) for t in partitioned_assets(config)},
    }


def _contents(store: Store, table: str) -> list[str]:
    rows = store.tables.read(table).drop_columns("batch").to_pylist()
    found = [str(row) for row in rows]
    is_per_content = "image_id" in schemas.TABLES[table].names and table not in (
        "images",
        "annotations",
        "label_matches",
    )
    return sorted(set(found)) if is_per_content else sorted(found)


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


@given(steps=st.lists(STEP, max_size=30))
def test_the_library_is_the_same_after_any_history(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "store")
        play(world, steps)
        world.store.close()


def test_the_same_on_postgres(postgres: str) -> None:
    @settings(max_examples=max(2, settings().max_examples // 12))
    @given(steps=st.lists(STEP, max_size=30))
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
from test_compacting import LibraryConfig, Store, compact
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


@pytest.mark.parametrize(("moment", "number"), [("table", 3), ("commit", 1), ("unlink", 4)])
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


@pytest.mark.parametrize("boundary", [60, 200, 10_000])
def test_a_ledger_that_is_lost_meanwhile_is_made_anew(tmp_path: Path, boundary: int) -> None:
    world = World(tmp_path / "store")
    for number, name in enumerate(NAMES):
        world.write("pics", name, number)
        world.take_in()
    before = without_results(seen(world.config, world.store))
    try:
        with crash_at(boundary):
            world.compact()
    except Crash:
        pass
    world.store.close()
    for file in world.store.root.glob("ledger.sqlite*"):
        file.unlink()
    with Store.open(world.store.root) as store:
        rebuild_ledger(world.config, store)
        assert without_results(seen(world.config, store)) == before
        store.sweep()
        assert without_results(seen(world.config, store)) == before
        assert ledger_problem(store) is None


def without_results(facts: dict[str, Any]) -> dict[str, Any]:
    """But for results of an operation that no table tells of."""
    return {name: fact for name, fact in facts.items() if name != "results"}
