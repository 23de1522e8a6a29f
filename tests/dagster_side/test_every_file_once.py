"""Whatever happens to files and ticks, in the end every content is in the library once, and no file is forgotten."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched_library import Watch, WatchedLibrary, configuration, draw

from aion_dagster.definitions import LIBRARY_JOB

NUMBERS = itertools.count()

STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5)),
    st.tuples(st.just("touch"), st.integers(0, 5)),
    st.tuples(st.just("rename"), st.integers(0, 5)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["tick", "tick that is lost", "partitions only", "run"]), st.just(0)),
)


class Story:
    """A folder and a watched library, to which things happen."""

    def __init__(self, library: WatchedLibrary, folder: Path) -> None:
        self.library, self.folder = library, folder
        self.pending: Any = None
        self.clock = 1_700_000_000
        self.seen: set[tuple[str, str]] = set()

    def happens(self, kind: str, number: int) -> None:
        files = sorted(self.folder.iterdir())
        if kind == "add":
            draw(self.folder, number)
        elif kind.startswith("tick"):
            result = self.look()
            self.pending = None if kind == "tick that is lost" else result
        elif kind == "partitions only" and self.pending is not None:
            self.library.store_partitions(self.pending)
            self.pending = None
        elif kind == "run" and self.pending is not None:
            self.library.accept(self.pending)
            self.pending = None
        elif kind in ("touch", "rename", "remove") and files:
            self.change(kind, files[number % len(files)])

    def change(self, kind: str, file: Path) -> None:
        if kind == "touch":
            self.clock += 60
            os.utime(file, (self.clock, self.clock))
        elif kind == "rename":
            file.rename(self.folder / f"renamed {next(NUMBERS)}.jpg")
        else:
            file.unlink()

    def look(self) -> Any:
        """A tick; notes which file versions it can have seen."""
        for file in self.folder.iterdir():
            status = file.stat()
            self.seen.add((file.as_uri(), f"{status.st_mtime_ns}-{status.st_size}"))
        return self.library.tick()

    def comes_to_rest(self) -> None:
        for _ in range(10):
            result = self.look()
            self.library.accept(result)
            if not result.run_requests:
                break
        else:
            raise AssertionError("the sensor never comes to rest")
        assert self.library.materialize(LIBRARY_JOB, ["library"]).success


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stories")


@settings(max_examples=max(4, settings().max_examples // 6), report_multiple_bugs=False)
@given(st.lists(STEPS, min_size=2, max_size=8))
def test_every_content_is_in_the_library_once_and_every_version_in_one_batch(
    watch: Watch, places: Path, steps: list[tuple[str, int]]
) -> None:
    name = f"story{next(NUMBERS)}"  # libraries share the store, its instance is opened once
    folder = places / name
    draw(folder, 0)
    story = Story(watch(configuration(places / "store", folder, name=name, batch_files=2)), folder)
    for kind, number in steps:
        story.happens(kind, number)
    story.comes_to_rest()

    store = story.library.store
    listed = Counter(
        (file.uri, file.version)
        for b in story.library.batches()
        for file in store.manifests.read(b)
    )
    assert set(listed.values()) <= {1}
    assert set(listed) == story.seen
    hashes = Counter(store.tables.read("library")["sha256"].to_pylist())
    assert set(hashes.values()) <= {1}
    there = {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    assert there <= set(hashes)
    rows = store.tables.read("images")
    computed = list(zip(rows["uri"].to_pylist(), rows["version"].to_pylist(), strict=True))
    assert Counter(computed) == listed
    assert store.tables.batches("annotations") == sorted(story.library.batches())
