"""Sites for the tests of the crawler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .site import Site, running_site


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as started:
        yield started


@pytest.fixture
def other_site() -> Iterator[Site]:
    with running_site() as started:
        yield started
