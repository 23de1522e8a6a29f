"""Measure `aion-dagster run` on 1,000 pictures against the floor, alternately, in the same minutes.

    python benchmarks/run_1000.py [--pictures 1000] [--rounds 3] [--other-floor SCRIPT]

Every round runs, each in a fresh process and a fresh state: the floor (`floor.py`), the bare pass
(`bare_pass.py`), `aion-dagster run` as with the core package alone, the same with labels and a COCO
export, and `aion-dagster run` with text vectors; the next round takes them in another order. Medians are reported: `seconds` is what a command says itself,
imports excluded; `wall` is the life of its process. `orchestration` is the share of our seconds
that the bare pass does not explain. Prints one JSON object and, last, a row for README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pictures as generator
from watched import CommandFailedError, Watched, watch

HERE = Path(__file__).resolve().parent
PROCESSES = 2
Commands = dict[str, Callable[[Path], list[str]]]


def commands(folder: Path, labels: Path, other_floor: Path | None) -> Commands:
    """What to measure: a name, and how the command line follows from a fresh folder for its state."""
    python = sys.executable
    ours = str(Path(python).with_name("aion-dagster"))

    def run_vectors(state: Path) -> list[str]:
        return [ours, "run", str(folder), "--store", str(state), "--json"]

    def run(state: Path) -> list[str]:
        return [*run_vectors(state), "--config", str(HERE / "core.yaml")]

    def run_and_export(state: Path) -> list[str]:
        extra = ["--labels", str(labels), "--dataset", "bench", "--export", "coco"]
        return [*run(state), *extra]

    def floor(state: Path) -> list[str]:
        script = str(HERE / "floor.py")
        return [python, script, str(folder), str(state), "--processes", str(PROCESSES)]

    def bare_pass(state: Path) -> list[str]:
        return [python, str(HERE / "bare_pass.py"), str(folder), str(state)]

    measured: Commands = {
        "floor": floor,
        "bare_pass": bare_pass,
        "run": run,
        "run_coco": run_and_export,
        "run_vectors": run_vectors,
    }
    if other_floor:
        script = str(other_floor)
        measured["other_floor"] = lambda state: [python, script, str(folder), str(state)]
    return measured


def measure(measured: Commands, rounds: int) -> dict[str, list[Watched]]:
    """Run every command once per round, each round beginning with another one."""
    results: dict[str, list[Watched]] = {name: [] for name in measured}
    names = list(measured)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as state:
                results[name].append(watch(measured[name](Path(state, "state"))))
            took = results[name][-1]
            print(f"round {number + 1}: {name:12} {took.wall:7.2f} s", file=sys.stderr)
    return results


def summary(results: dict[str, list[Watched]], count: int) -> dict[str, Any]:
    """Medians per command, ratios to the floor, and the share that is orchestration."""
    medians = {
        name: {
            "seconds": round(statistics.median(w.seconds for w in watched), 3),
            "wall": round(statistics.median(w.wall for w in watched), 3),
            "peak_mib": round(statistics.median(w.peak_mib for w in watched)),
            "all_seconds": [round(w.seconds, 3) for w in watched],
        }
        for name, watched in results.items()
    }
    floor, bare = medians["floor"], medians["bare_pass"]
    for name, values in medians.items():
        values["pictures_per_second"] = round(count / values["seconds"], 1)
        values["seconds_to_floor"] = round(values["seconds"] / floor["seconds"], 2)
        values["wall_to_floor"] = round(values["wall"] / floor["wall"], 2)
        if name.startswith("run"):
            values["orchestration"] = round(1 - bare["seconds"] / values["seconds"], 3)
            values["orchestration_wall"] = round(1 - bare["wall"] / values["wall"], 3)
    return medians


def machine() -> str:
    """Processor, cores and memory in words."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {gibibytes:.0f} GiB"


def commit() -> str:
    """Short hash of the checkout, with a plus where it has uncommitted changes."""
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+"]
    described = subprocess.run(git, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def rows(report: dict[str, Any]) -> list[str]:
    """Lines for the table in README.md, one for each of our commands."""
    medians = report["medians"]
    floor = medians["floor"]
    lines = []
    for name, command in (
        ("run", "run"),
        ("run_coco", "run --labels --export coco"),
        ("run_vectors", "run with text vectors"),
    ):
        ours = medians[name]
        cells = (
            report["date"],
            report["machine"],
            report["commit"],
            f"`{command}`, {report['pictures']} pictures",
            f"{ours['seconds']} s ({ours['wall']} s wall)",
            f"{ours['pictures_per_second']}/s",
            f"{floor['seconds']} s ({floor['wall']} s wall)",
            f"{ours['seconds_to_floor']} ({ours['wall_to_floor']})",
            f"{ours['orchestration']:.0%}",
            f"{ours['peak_mib']} MiB (floor {floor['peak_mib']})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Make the pictures, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--folder", type=Path, help="keep the pictures here (default: temporary)")
    parser.add_argument("--other-floor", type=Path, help="a script called with PICTURES STATE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pictures-") as scratch:
        folder = arguments.folder or Path(scratch, "pictures")
        generator.make(folder, arguments.pictures)
        labels = Path(scratch, "labels.json")
        generator.label(folder, labels)
        for file in folder.iterdir():
            file.read_bytes()  # so that the first command does not pay for a cold page cache
        busy = os.getloadavg()[0]
        try:
            results = measure(commands(folder, labels, arguments.other_floor), arguments.rounds)
        except CommandFailedError as error:
            print(error, file=sys.stderr)
            return 1
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "python": platform.python_version(),
        "commit": commit(),
        "pictures": arguments.pictures,
        "rounds": arguments.rounds,
        "load_before": round(busy, 2),
        "medians": summary(results, arguments.pictures),
    }
    print(json.dumps(report, indent=1))
    print("\n".join(rows(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
