"""Run a command in a fresh process and watch its time and the memory of its process tree."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.15


class CommandFailedError(Exception):
    """A measured command ended with an error, so there is nothing to measure."""


@dataclass(frozen=True)
class Watched:
    """What a command took.

    `wall` is seconds from start to exit, interpreter and imports included; `seconds` what the command
    itself reports; `peak_mib` the largest proportional set size (shared pages divided among those
    who share them) of the whole process tree; `report` the JSON object on the last line it printed.
    """

    wall: float
    seconds: float
    peak_mib: float
    report: Mapping[str, Any]


def proportional_bytes(pid: int) -> int:
    """Proportional set size of one process in bytes; 0 when it has just ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next(
        (int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:"), 0
    )


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and everything that it started, in bytes."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0
    return sum(proportional_bytes(p) for p in (pid, *(child.pid for child in children)))


def watch(command: Sequence[str]) -> Watched:
    """Run `command` and wait for it, without the user's own Dagster instance.

    Raises:
        CommandFailedError: It ended with an error or printed no JSON object; the message has its
            last words.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
    )
    ended, peak = threading.Event(), [0]

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], tree_bytes(process.pid))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    output, errors = process.communicate()
    wall = time.perf_counter() - started
    ended.set()
    sampler.join()
    last = output.strip().rpartition("\n")[2]
    if process.returncode or not last.startswith("{"):
        words = "\n".join((output + errors).strip().splitlines()[-15:])
        raise CommandFailedError(f"{' '.join(command)} ended with {process.returncode}:\n{words}")
    report = json.loads(last)
    seconds = report.get("seconds", report.get("total_s", wall))
    return Watched(wall, float(seconds), peak[0] / 2**20, report)
