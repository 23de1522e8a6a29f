"""A command ends when it is asked to, in the background of a script too, and the next one completes its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_library import Run

SOAK = os.environ.get("AION_TEST_TIER") == "soak"
AS_IT_IS = 'exec "$0" "$@"'
IN_BACKGROUND = f'trap "" INT; {AS_IT_IS}'
COMMAND = "import sys; from aion_dagster.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("script", "asked", "jobs"),
    [
        (AS_IT_IS, signal.SIGINT, 2),
        (IN_BACKGROUND, signal.SIGTERM, 1),
        *([(AS_IT_IS, signal.SIGTERM, 1), (AS_IT_IS, signal.SIGTERM, 2)] if SOAK else ()),
    ],
)
def test_a_run_ends_when_it_is_asked_to(
    run: Run,
    pictures: Path,
    labels: Path,
    tmp_path: Path,
    script: str,
    asked: signal.Signals,
    jobs: int,
) -> None:
    store = tmp_path / "store"
    words = [
        "run",
        pictures,
        "--labels",
        labels,
        "--store",
        store,
        "--jobs",
        jobs,
        "--batch-size",
        3,
    ]
    begun = subprocess.Popen(
        ["sh", "-c", script, sys.executable, "-c", COMMAND, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not any((store / "tables").glob("images/*")):
        assert begun.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    begun.send_signal(asked)
    _, said = begun.communicate(timeout=60)
    assert begun.returncode == 130, said
    assert "the next run continues where this one stopped" in said
    result = run(pictures, "--labels", labels)
    assert sorted(result["exports"]) == ["coco", "csv", "voc", "yolo"]
