"""Run a command in a fresh process and watch its time, and if asked to the memory of its process tree."""

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
TICKS = os.sysconf("SC_CLK_TCK")


class CommandFailedError(Exception):
    """A measured command ended with an error, so there is nothing to measure."""


@dataclass(frozen=True)
class Watched:
    """What a command took.

    `wall` is seconds from start to exit, interpreter and imports included; `seconds` what the command
    itself reports; `cpu` seconds of processor time of its process tree; `elsewhere` the share of all
    cores that other processes had meanwhile; `peak_mib` the largest proportional set size (shared
    pages divided among those who share them) of its whole process tree, 0 where that was not looked
    at; `report` the JSON object on the last line it printed.
    """

    wall: float
    seconds: float
    cpu: float
    elsewhere: float
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


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes whose current folder is `folder` or below it: servers that a command has left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def tree_bytes(pid: int, state: Path | None = None) -> int:
    """Proportional set size of a process, of everything that it started, and of servers in `state`, in bytes."""
    try:
        ids = {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    except psutil.NoSuchProcess:
        return 0
    if state is not None:
        ids |= {process.pid for process in processes_in(state)}
    return sum(proportional_bytes(each) for each in ids)


def busy_seconds() -> float:
    """Seconds that all cores together have worked since boot."""
    with Path("/proc/stat").open() as lines:
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, next(lines).split()[1:])
    return (user + nice + system + irq + softirq) / TICKS


def watch(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    memory: bool = True,
    state: Path | None = None,
) -> Watched:
    """Run `command` and wait for it, without the user's own Dagster instance.

    Looking at the memory costs a few percent of the time, so `memory=False` where times are compared.

    Raises:
        CommandFailedError: It ended with an error or printed no JSON object; the message has its
            last words.
    """
    own = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    busy, before = busy_seconds(), os.times()
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=own | dict(environment or {}),
    )
    ended, peak = threading.Event(), [0]

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], tree_bytes(process.pid, state))

    sampler = threading.Thread(target=sample, daemon=True)
    if memory:
        sampler.start()
    output, errors = process.communicate()
    wall = time.perf_counter() - started
    ended.set()
    if memory:
        sampler.join()
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    ours = sum(after[:4]) - sum(before[:4])
    elsewhere = max(0.0, busy_seconds() - busy - ours) / (wall * (os.cpu_count() or 1))
    last = output.strip().rpartition("\n")[2]
    # Progress bars may stand before it on its line.
    last = last[max(last.find("{"), 0) :]
    if process.returncode or not last.startswith("{"):
        words = "\n".join((output + errors).strip().splitlines()[-15:])
        raise CommandFailedError(f"{' '.join(command)} ended with {process.returncode}:\n{words}")
    report = json.loads(last)
    seconds = report.get("seconds", report.get("total_s", wall))
    return Watched(wall, float(seconds), cpu, elsewhere, peak[0] / 2**20, report)
