"""The pass in processes of its own: the same tables, nothing lost when one of them ends, none left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from aion_dagster.storage import process

SCRIPT = Path(__file__).with_name("passes_in_processes.py")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are forked on Linux only"
)


def run(what: str, folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, str(SCRIPT), what, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("same_tables", id="tables are those of the pass in threads"),
        pytest.param("killed_in_the_middle", id="tables are the same when a process is killed"),
        pytest.param("ended_processes", id="only an item that ends its process twice is lost"),
        pytest.param("errors", id="errors come back and do not use anything up"),
        pytest.param("many_and_large", id="calls of any size and number"),
        pytest.param("given_up", id="a consumer may stop early"),
        pytest.param("in_flight", id="files held at once are bounded"),
        pytest.param("where_it_is_not_possible", id="one core or several threads: threads"),
    ],
)
def test_pass_in_processes(what: str, tmp_path: Path) -> None:
    done = run(what, tmp_path)
    assert done.returncode == 0, done.stderr


def test_processes_end_when_asked_to_in_the_background_too(tmp_path: Path) -> None:
    """Where requests to end are ignored, as Dagster has it where a shell has interrupts ignored."""
    done = run("requests_to_end", tmp_path, "sh", "-c", 'trap "" TERM INT; "$0" "$@"')
    assert done.returncode == 0, done.stderr


def test_processes_end_with_the_one_that_made_them_even_if_it_is_killed(tmp_path: Path) -> None:
    done = run("killed", tmp_path)
    assert done.returncode == -9, done.stderr
    left = [int(word) for word in done.stdout.split()]
    assert len(left) == 2
    gone_by = time.monotonic() + 30
    while any(process.is_alive(process.identity(pid)) for pid in left):
        assert time.monotonic() < gone_by
        time.sleep(0.01)
