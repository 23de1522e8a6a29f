"""What the client costs beside bare httpx: 10,000 small calls, and 1 GB uploaded in one request.

    python benchmarks/aionvision_client.py [--rounds 5] [--calls 10000] [--json FILE]

CPU time of the process that asks, measured by itself; the server runs in another process. Small calls are of two kinds: a
quota (8 fields) and everything about a file (25 fields with two lists), which the client checks and turns into typed
values; in each round a fresh process makes them in turns of 250 by bare httpx and 250 by the client. Uploaded are ten files
of 100 MB without content, so that no disk is measured; a fresh process for each side, the order changing from round to
round. Memory is by how much the upload raised the peak of the resident set, the largest of all rounds. Medians over the
rounds, and the lowest and the highest ratio of one round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILES = 10
SIZE = 100_000_000
BAR = 1.3
FLAT = 16.0
"""MiB by which memory may grow over an upload of 1 GB and count as flat."""

HOWS = ("sync", "async")
WHATS = ("quota", "file")


def told(*arguments: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "client_work.py"), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measure(url: str, rounds: int, calls: int, files: list[str]) -> dict[str, list[Any]]:
    """What each round said of each kind of work."""
    found: dict[str, list[Any]] = {}
    for number in range(rounds):
        for how in HOWS:
            for what in WHATS:
                one: dict[str, Any] = dict(told("calls", how, what, url, str(calls)))
                found.setdefault(f"{calls:,} × {what}, {how}", []).append(one)
            both = {
                who: told("upload", how, who, url, *files)
                for who in sorted(("bare", "client"), reverse=bool(number % 2))
            }
            one = {who: side["cpu"] for who, side in both.items()}
            one["growth_mib"] = {who: side["growth_mib"] for who, side in both.items()}
            found.setdefault(f"1 GB uploaded, {how}", []).append(one)
    return found


def summary(found: dict[str, list[Any]]) -> list[dict[str, Any]]:
    rows = []
    for work, rounds in found.items():
        bare, ours = (statistics.median(one[who] for one in rounds) for who in ("bare", "client"))
        ratios = [one["client"] / one["bare"] for one in rounds]
        row = {
            "work": work,
            "bare_cpu_s": round(bare, 3),
            "client_cpu_s": round(ours, 3),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_lowest": round(min(ratios), 3),
            "ratio_highest": round(max(ratios), 3),
        }
        if "growth_mib" in rounds[0]:
            for who in ("bare", "client"):
                row[f"{who}_growth_mib"] = round(max(o["growth_mib"][who] for o in rounds), 1)
        rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> bool:
    """Print the table; whether every bar is reached."""
    print(f"{'work':24} {'bare':>9} {'client':>9} {'ratio':>6} {'of rounds':>11} {'memory':>24}")
    reached = True
    for row in rows:
        spread = f"{row['ratio_lowest']:.2f}–{row['ratio_highest']:.2f}"
        memory = ""
        if "client_growth_mib" in row:
            memory = f"+{row['client_growth_mib']:.1f} MiB (bare +{row['bare_growth_mib']:.1f})"
        ok = row["ratio"] <= BAR and row.get("client_growth_mib", 0.0) <= FLAT
        reached &= ok
        times = f"{row['bare_cpu_s']:7.3f} s {row['client_cpu_s']:7.3f} s"
        print(
            f"{row['work']:24} {times} {row['ratio']:6.2f} {spread:>11} {memory:>24}"
            f"{'' if ok else '  missed'}"
        )
    print(f"Aims: {BAR} × the CPU of bare httpx, memory within {FLAT:g} MiB.")
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "client_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/api/v2"
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number:02}.jpg" for number in range(FILES)]
            for path in files:
                with path.open("wb") as file:
                    file.truncate(SIZE)
            before = os.getloadavg()[0]
            found = measure(url, args.rounds, args.calls, [str(path) for path in files])
    finally:
        server.stdin.close()
        server.wait()
    rows = summary(found)
    reached = show(rows)
    load = {"before": before, "after": os.getloadavg()[0]}
    result = {"rows": rows, "reached": reached, "load": load}
    print(json.dumps(result, ensure_ascii=False))
    if args.json:
        args.json.write_text(json.dumps({**result, "rounds": found}, indent=1, ensure_ascii=False))
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
