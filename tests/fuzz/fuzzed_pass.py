"""A process that takes damaged pictures through the pass: `fuzzed_pass.py FIRST_SEED COUNT`.

Prints a line per file: seed, status, seconds; at the end the peak memory in bytes. The seed is printed before the pass
sees the file, so that whoever waits knows what a crash or a hang was about.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from mutations import mutated

from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.values import FileRef

STATUSES = ("ok", "unreadable", "unsupported", "too_large")


def rows(data: bytes) -> list[dict[str, object]]:
    ref = FileRef("fuzz", "file:///x", "x", "1", len(data), datetime.now(UTC))
    chunks = list(run_pass([PictureInput(ref, lambda: data)], PassSettings(threads=1)))
    found = [row for chunk in chunks for row in chunk.images.to_pylist()]
    return [{k: v for k, v in row.items() if k != "modified_at"} for row in found]


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        print("at", seed, flush=True)
        _, data = mutated(seed)
        begun = time.monotonic()
        found = rows(data)
        seconds = time.monotonic() - begun
        assert len(found) == 1, found
        row = found[0]
        assert row["status"] in STATUSES
        assert (row["error"] is None) == (row["status"] == "ok"), row
        if seed % 16 == 0:
            assert rows(data) == found, "the same bytes gave another row"
        print("row", json.dumps([seed, row["status"], seconds]), flush=True)
    peak = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    print("peak", int(peak.split()[1]) * 1024, flush=True)


main()
