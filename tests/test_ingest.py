"""Ingest: every file version comes into exactly one batch, whatever is killed or repeated, and whoever else works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from crashes import Crash, crash_at
from hypothesis import example, given
from hypothesis import strategies as st

from aion_dagster import identity
from aion_dagster.errors import StorageError
from aion_dagster.ingest import ingest
from aion_dagster.sources import FolderSource
from aion_dagster.storage import Store


def make(root: Path, *names: str, size: int = 1) -> None:
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).write_bytes(b"x" * size)


def assert_each_version_once(store: Store) -> None:
    """Ledger and manifests agree, every batch has its own key, and no file version is in two batches."""
    batches = store.ledger.batches()
    held: Counter[tuple[str, str, str]] = Counter()
    for batch in batches:
        files = store.manifests.read(batch.key)
        assert identity.BATCH_KEY_PATTERN.fullmatch(batch.key)
        assert batch.key == identity.batch_key(batch.source, files)
        assert batch.manifest_digest == identity.manifest_digest(files)
        assert (batch.file_count, batch.size_bytes) == (
            len(files),
            sum(f.size_bytes for f in files),
        )
        held.update((f.source, f.uri, f.version) for f in files)
    assert all(count == 1 for count in held.values())
    assert store.ledger.counts().files == len(held)


def assert_shows(store: Store, source: FolderSource) -> None:
    """The current versions are what the folder holds now (and what was deleted from it, as it last was)."""
    current = {row.uri: row.version for row in store.ledger.current_versions()}
    for ref in source.scan().files:
        assert current[ref.uri] == ref.version


def test_new_files_become_batches_and_known_ones_nothing(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i:02}.jpg" for i in range(12)))
    source = FolderSource("pics", tmp_path / "pics")
    with Store.open(tmp_path / "store") as store:
        done = ingest(source, store, batch_files=5)
        assert (len(done.batches), done.files, done.scanned) == (3, 12, 12)
        assert (done.complete, done.cursor, done.problems) == (True, None, ())
        assert [b.file_count for b in store.ledger.batches("waiting")] == [5, 5, 2]
        again = ingest(source, store, batch_files=5)
        assert (again.batches, again.files, again.scanned) == ((), 0, 12)

        (tmp_path / "pics" / "03.jpg").write_bytes(b"changed")
        (tmp_path / "pics" / "04.jpg").rename(tmp_path / "pics" / "moved.jpg")
        make(tmp_path / "pics", "new.jpg")
        more = ingest(source, store)
        assert len(more.batches) == 1
        names = [f.name for f in store.manifests.read(more.batches[0])]
        assert names == ["03.jpg", "moved.jpg", "new.jpg"]
        assert_each_version_once(store)
        assert_shows(store, source)


def test_an_empty_folder_gives_no_batch(tmp_path: Path) -> None:
    make(tmp_path / "pics")
    with Store.open(tmp_path / "store") as store:
        done = ingest(FolderSource("pics", tmp_path / "pics"), store)
        assert (done.batches, done.complete) == ((), True)
        assert store.manifests.batches() == []


def test_batches_end_at_their_bytes(tmp_path: Path) -> None:
    make(tmp_path / "pics", "a", "b", "c", size=40)
    make(tmp_path / "pics", "d", size=500)
    make(tmp_path / "pics", "e", "f", size=50)
    with Store.open(tmp_path / "store") as store:
        ingest(FolderSource("pics", tmp_path / "pics"), store, batch_bytes=100)
        assert [b.size_bytes for b in store.ledger.batches()] == [80, 40, 500, 100]


def test_batches_do_not_end_where_pages_do(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i:02}" for i in range(20)))
    keys = []
    for pages in (3, 7, 1000):
        with Store.open(tmp_path / f"store-{pages}") as store:
            source = FolderSource("pics", tmp_path / "pics", page_files=pages)
            keys.append(ingest(source, store, batch_files=8).batches)
    assert len(keys[0]) == 3
    assert keys[0] == keys[1] == keys[2]


def test_an_old_version_that_comes_back_is_current_and_no_new_batch(tmp_path: Path) -> None:
    make(tmp_path / "pics", "a.jpg")
    os.utime(tmp_path / "pics" / "a.jpg", ns=(1, 1000))
    source = FolderSource("pics", tmp_path / "pics")
    with Store.open(tmp_path / "store") as store:
        ingest(source, store)
        make(tmp_path / "pics", "a.jpg", size=3)
        ingest(source, store)
        make(tmp_path / "pics", "a.jpg")
        os.utime(tmp_path / "pics" / "a.jpg", ns=(1, 1000))
        assert ingest(source, store).batches == ()
        assert_shows(store, source)


@given(
    count=st.integers(0, 40),
    batch_files=st.integers(1, 9),
    page=st.integers(1, 12),
    max_batches=st.integers(1, 4),
    expired=st.booleans(),
)
def test_calls_with_limits_come_to_the_end_and_miss_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    batch_files: int,
    page: int,
    max_batches: int,
    expired: bool,
) -> None:
    root = tmp_path_factory.mktemp("limits")
    make(root / "pics", *(f"{i:02}" for i in range(count)))
    source = FolderSource("pics", root / "pics", page_files=page)
    with Store.open(root / "store") as store:
        cursor, calls, keys = None, 0, []
        while True:
            done = ingest(
                source,
                store,
                batch_files=batch_files,
                cursor=cursor,
                max_batches=max_batches,
                deadline=0.0 if expired else None,
            )
            keys += done.batches
            assert len(done.batches) <= max_batches
            cursor, calls = done.cursor, calls + 1
            if done.complete:
                break
            assert cursor is not None or done.batches
            assert calls < 200
        assert keys == [b.key for b in store.ledger.batches()]
        assert all(b.file_count <= batch_files for b in store.ledger.batches())
        assert_each_version_once(store)
        assert_shows(store, source)
        assert store.ledger.counts().files == count


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "touch", "delete"]), st.integers(0, 11)),
        st.tuples(st.just("rename"), st.integers(0, 11), st.integers(0, 11)),
        st.tuples(st.just("ingest"), st.integers(1, 5), st.integers(0, 40)),
    ),
    max_size=14,
)


@example(changes=[("ingest", 1, 7), ("add", 0)])
@given(changes=CHANGES)
def test_each_version_comes_into_one_batch_whatever_changes_and_crashes(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple]
) -> None:
    root = tmp_path_factory.mktemp("changes")
    make(root / "pics", "0.jpg")
    source, clock = FolderSource("pics", root / "pics", page_files=4), 1_000_000_000
    expected: set[tuple[str, str]] = set()
    for change in [*changes, ("ingest", 3, 0)]:
        clock += 1_000_000_000
        path = root / "pics" / f"{change[1]}.jpg"
        match change[0]:
            case "add" | "touch":
                path.write_bytes(b"x" * (change[1] + 1))
                os.utime(path, ns=(clock, clock))
            case "delete":
                path.unlink(missing_ok=True)
            case "rename" if path.exists():
                path.rename(root / "pics" / f"{change[2]}.jpg")
            case "ingest":
                before = {(r.uri, r.version) for p in _pages(source) for r in p.files}
                try:
                    with Store.open(root / "store") as store, crash_at(change[2]):
                        done = ingest(source, store, batch_files=change[1])
                        assert done.complete
                        expected |= before
                except Crash:
                    pass
    with Store.open(root / "store") as store:
        assert_each_version_once(store)
        recorded = {
            (f.uri, f.version) for b in store.ledger.batches() for f in store.manifests.read(b.key)
        }
        assert expected <= recorded
        for ref in (r for p in _pages(source) for r in p.files):
            assert {(row.uri, row.version) for row in store.ledger.current_versions()} >= {
                (ref.uri, ref.version)
            }
        with store.lock():
            store.sweep()
        batches = {b.key for b in store.ledger.batches()}
        assert batches <= set(store.manifests.batches())
        # What is left of a crash stays only where it names a version that was replaced before it could be recorded.
        for key in set(store.manifests.batches()) - batches:
            assert {(f.uri, f.version) for f in store.manifests.read(key)} - recorded


def _pages(source: FolderSource) -> Iterator:
    cursor = None
    while True:
        page = source.scan(cursor)
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def test_every_boundary_of_a_first_ingest_is_survived_with_the_same_batches(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i}.jpg" for i in range(3)))
    source = FolderSource("pics", tmp_path / "pics")
    with Store.open(tmp_path / "whole") as store, crash_at(0) as passed:
        wanted = ingest(source, store, batch_files=2).batches
        boundaries = passed()
    assert boundaries > 6  # two batches: flush, rename, folder and commit at least
    for boundary in range(2, boundaries * 2 + 2):
        place = tmp_path / f"store-{boundary}"
        with Store.open(place) as store, pytest.raises(Crash), crash_at(boundary):
            ingest(source, store, batch_files=2)
        with Store.open(place) as store:
            ingest(source, store, batch_files=2)
            assert tuple(b.key for b in store.ledger.batches()) == wanted
            assert set(store.manifests.batches()) == set(wanted)
            assert_each_version_once(store)


WORK = """
import sys
from pathlib import Path
from aion_dagster.ingest import ingest
from aion_dagster.sources import FolderSource
from aion_dagster.storage import Store
source = FolderSource("pics", Path(sys.argv[1]), page_files=int(sys.argv[4]))
with Store.open(sys.argv[2]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    done = ingest(source, store, batch_files=int(sys.argv[3]))
    print(done.files)
"""


def start(tmp_path: Path, batch_files: int, page: int) -> subprocess.Popen[str]:
    arguments = [str(tmp_path / "pics"), str(tmp_path / "store"), str(batch_files), str(page)]
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_processes_that_ingest_one_folder_at_once_give_each_file_once(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i:03}.jpg" for i in range(120)))
    # Different limits, so that the processes group the same files in different ways.
    children = [start(tmp_path, 7, 50), start(tmp_path, 10, 300)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert sum(int(child.communicate()[0]) for child in children) == 120
    with Store.open(tmp_path / "store") as store:
        assert_each_version_once(store)
        assert store.ledger.counts().files == 120
        assert {b.key for b in store.ledger.batches()} == set(store.manifests.batches())


def test_killed_processes_lose_and_repeat_nothing(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i:03}.jpg" for i in range(200)))
    chance = random.Random(11)
    manifests = tmp_path / "store" / "manifests"
    for _ in range(3):
        child = start(tmp_path, 4, 50)
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        with suppress(subprocess.TimeoutExpired):  # kill it anywhere within its work
            child.wait(timeout=chance.uniform(0.02, 0.4))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        with Store.open(tmp_path / "store") as store:
            assert_each_version_once(store)
    with Store.open(tmp_path / "store") as store, store.lock():
        source = FolderSource("pics", tmp_path / "pics")
        assert ingest(source, store, batch_files=4).complete
        store.sweep()
        assert_each_version_once(store)
        assert store.ledger.counts().files == 200
        assert [b.file_count for b in store.ledger.batches()] == [4] * 50
        assert sorted(os.listdir(manifests)) == sorted(
            f"{b.key}.parquet" for b in store.ledger.batches()
        )


def test_a_full_disk_is_named_and_the_next_call_goes_on(tmp_path: Path) -> None:
    make(tmp_path / "pics", *(f"{i:03}.jpg" for i in range(50)))
    source = FolderSource("pics", tmp_path / "pics")
    store = Store.open(tmp_path / "store")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            WORK.replace("    done =", f"    {limited}    done ="),
            *(str(tmp_path / "pics"), str(tmp_path / "store"), "50", "50"),
        ],
        input="\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert StorageError.__name__ in ran.stderr
    assert store.ledger.counts().files == 0
    assert ingest(source, store).files == 50
    assert_each_version_once(store)
    store.close()
