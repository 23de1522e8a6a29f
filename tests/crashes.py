"""A process that ends between any two steps: writes that reach the disk, and commits of a database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import event


class Crash(BaseException):
    """The process ends here."""


@contextmanager
def crash_at(boundary: int) -> Iterator[Callable[[], int]]:
    """Raise at the n-th write that reaches the disk: a flush, a rename or a commit; before it, or (odd) after it."""
    passed = 0
    fsync, replace = os.fsync, os.replace

    def step(effect: Callable[[], object]) -> None:
        nonlocal passed
        passed += 1
        if passed * 2 == boundary:
            raise Crash
        effect()
        if passed * 2 + 1 == boundary:
            raise Crash

    def before_commit(_connection: sa.Connection) -> None:
        step(lambda: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: step(lambda: fsync(handle)))
        patch.setattr(os, "replace", lambda a, b: step(lambda: replace(a, b)))
        event.listen(sa.Engine, "commit", before_commit)
        try:
            yield lambda: passed
        finally:
            event.remove(sa.Engine, "commit", before_commit)
