"""Damaged pictures: no crash, no hang, no flood of memory, and a row for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SEED = 20261121
COUNT = 10_000 if os.environ.get("AION_TEST_TIER") == "soak" else 400
PORTION = 200
SECONDS = 10.0
MEMORY = 2**30


@pytest.mark.parametrize("first", range(SEED, SEED + COUNT, PORTION))
def test_every_damaged_picture_is_a_row_in_time_and_within_memory(first: int) -> None:
    script = Path(__file__).with_name("fuzzed_pass.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, str(first), str(PORTION)],
        capture_output=True,
        text=True,
        timeout=SECONDS * PORTION,
        check=False,
    )
    lines = done.stdout.splitlines()
    at = [line for line in lines if line.startswith("at ")]
    assert done.returncode == 0, f"seed {at[-1] if at else first}: {done.stderr[-2000:]}"
    rows = [json.loads(line.removeprefix("row ")) for line in lines if line.startswith("row ")]
    assert [seed for seed, _, _ in rows] == list(range(first, first + PORTION))
    assert max(seconds for _, _, seconds in rows) < SECONDS
    assert int(lines[-1].removeprefix("peak ")) < MEMORY
    kinds = Counter(status for _, status, _ in rows)
    assert min(kinds["ok"], kinds["unreadable"]) > 0, kinds  # what survives and what does not
