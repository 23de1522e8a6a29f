"""A library written by hand, with a copy of it at the platform as its tables say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from known_library import fill

from aion_dagster.storage.store import Store


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that tests copy."""
    place = tmp_path_factory.mktemp("known") / "store"
    with Store.open(place) as opened:
        fill(opened)
    return place


@pytest.fixture
def store(filled_store: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it."""
    with Store.open(shutil.copytree(filled_store, tmp_path / "store")) as opened:
        yield opened
