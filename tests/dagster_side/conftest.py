"""Libraries on real Dagster instances."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from watched_library import Watch, WatchedLibrary, draw

from aion_dagster.config import LibraryConfig
from aion_dagster.resources.instance import INSTANCE_FOLDER, embedded_instance


@pytest.fixture(scope="session")
def empty_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance that knows nothing; making its databases takes longer than copying them."""
    store = tmp_path_factory.mktemp("empty")
    with embedded_instance(str(store)):
        return store / INSTANCE_FOLDER


@pytest.fixture(scope="module")
def watch(empty_instance: Path) -> Iterator[Watch]:
    """Watch a library on the embedded instance of its store."""
    with ExitStack() as stack:

        def start(config: LibraryConfig) -> WatchedLibrary:
            place = Path(config.store) / INSTANCE_FOLDER
            if not place.exists():
                shutil.copytree(empty_instance, place)
            return WatchedLibrary(config, stack.enter_context(embedded_instance(config.store)))

        yield start


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder with three pictures."""
    draw(tmp_path / "inbox", 1, 2, 3)
    return tmp_path / "inbox"
