"""The server's own fixtures, for its own tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .asking import Asker, asking
from .fixtures import Server, aionvision, aionvision_process

__all__ = ["aionvision", "aionvision_process"]


@pytest.fixture
def ask(aionvision: Server) -> Iterator[Asker]:
    """Asks a server in its first state; at the end nothing may have failed within it."""
    with asking(aionvision) as asker:
        yield asker
    counted = aionvision.counters()
    assert counted["failures"] == []
    assert counted["own_violations"] == []
