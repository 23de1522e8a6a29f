"""Long tests begin first, so that the workers of a parallel run end together."""

from __future__ import annotations

import os
from itertools import groupby

import pytest

LONG = (
    "tests/cluster_runs/",
    "tests/e2e/",
    "tests/dagster_side/test_yaml_page.py",
    "tests/formats/test_export_kills.py",
    "tests/search_quality/",
    "tests/sources/test_drive_run.py",
    "tests/test_compacting.py",
)
"""Whole runs in processes of their own: seconds each, where others take milliseconds."""


def ordered(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests; each of `workers` equal parts begins with its share of the long modules.

    A worker is given one part, and takes from the end of another's when it has none left (`--dist worksteal`).
    Modules stay whole, for the sake of their fixtures.
    """
    modules = [list(tests) for _, tests in groupby(items, lambda i: i.nodeid.partition("::")[0])]
    long = [m for m in modules if m[0].nodeid.startswith(LONG)]
    short = [test for m in modules if not m[0].nodeid.startswith(LONG) for test in m]
    shares: list[list[pytest.Item]] = [
        [test for module in long[worker::workers] for test in module] for worker in range(workers)
    ]
    size = -(-len(items) // workers)
    result: list[pytest.Item] = []
    for share in shares:
        room = max(size - len(share), 0)
        result += share + short[:room]
        del short[:room]
    return result + short


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order them where several workers share them."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = ordered(items, workers)
