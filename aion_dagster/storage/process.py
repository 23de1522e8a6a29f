"""Which process made a temporary file or holds a lock, and whether it still lives."""

from __future__ import annotations

import os
from pathlib import Path


def identity(pid: int | None = None) -> str:
    """`<pid>-<start time>` of a process (default: this one); the start time tells a reused pid apart.

    The start time is in clock ticks since boot (field 22 of /proc/<pid>/stat, see proc(5)), 0 where there is no /proc.
    """
    pid = os.getpid() if pid is None else pid
    return f"{pid}-{_start_ticks(pid) or 0}"


def is_alive(process: str) -> bool:
    """True while the process with this `identity` runs on this machine; a zombie counts as dead."""
    pid, _, started = process.partition("-")
    if Path("/proc/self/stat").exists():
        return _start_ticks(int(pid)) == int(started)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_ticks(pid: int) -> int | None:
    """The start time of a running process; None where it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may hold anything, so count from the last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
