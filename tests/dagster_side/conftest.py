"""Libraries on real Dagster instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from watched_library import WatchedLibrary, draw

from aion_dagster.config import LibraryConfig
from aion_dagster.resources.instance import embedded_instance

Watch = Callable[[LibraryConfig], WatchedLibrary]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """Watch a library on the embedded instance of its store."""
    with ExitStack() as stack:

        def start(config: LibraryConfig) -> WatchedLibrary:
            return WatchedLibrary(config, stack.enter_context(embedded_instance(config.store)))

        yield start


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder with three pictures."""
    draw(tmp_path / "inbox", 1, 2, 3)
    return tmp_path / "inbox"
