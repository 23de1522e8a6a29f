"""Measure `aion-dagster run` on 1,000 pictures against the floor, alternately, in the same minutes.

    python benchmarks/run_1000.py [--pictures 1000] [--rounds 3] [--only-race]
                                  [--pixeltable PYTHON] [--datachain PYTHON]

Every round runs, each in a fresh process and a fresh state: the floor (`floor.py`), the bare pass
(`bare_pass.py`), `aion-dagster run` as with the core package alone, the same with labels and a COCO
export, and `aion-dagster run` with text vectors. Then the race: `aion-dagster run` without exports
against `../shared/bench/bench_floor.py` and, where their interpreters are given, against Pixeltable
and DataChain on the same workload; and what text and codes cost beside it, on fewer pictures. The
next round takes them in another order. Medians are reported: `seconds` is what a command says
itself, imports excluded; `wall` is the life of its process. `orchestration` is the share of our
seconds that the bare pass does not explain. Memory is looked at in one more round, which is not
timed. Prints one JSON object and, last, rows for README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pictures as generator
from contenders import HERE, SHARED, Contenders, detecting, race, standard
from watched import CommandFailedError, Watched

Results = dict[str, list[Watched]]


def measure(measured: Contenders, rounds: int, scratch: Path) -> Results:
    """Run every command once per round, each round beginning with another one; the last round looks at memory."""
    results: Results = {name: [] for name in measured}
    names = list(measured)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as state:
                took = measured[name].run(Path(state, "state"), memory=number == rounds)
            results[name].append(took)
            kind = f"round {number + 1}" if number < rounds else "memory "
            print(
                f"{kind}: {name:12} {took.seconds:7.2f} s, {took.elsewhere:.0%} elsewhere",
                file=sys.stderr,
            )
    return results


def medians(results: Results, count: int) -> dict[str, dict[str, Any]]:
    """Medians per command; the last round counts for memory only."""
    found = {}
    for name, (*timed, remembered) in results.items():
        seconds = statistics.median(w.seconds for w in timed)
        found[name] = {
            "seconds": round(seconds, 3),
            "wall": round(statistics.median(w.wall for w in timed), 3),
            "cpu": round(statistics.median(w.cpu for w in timed), 2),
            "elsewhere": round(statistics.median(w.elsewhere for w in timed), 2),
            "peak_mib": round(remembered.peak_mib),
            "pictures_per_second": round(count / seconds, 1),
            "all_seconds": [round(w.seconds, 3) for w in timed],
        }
    return found


def compared(found: dict[str, dict[str, Any]], floor: str, names: list[str]) -> None:
    """Add ratios to a floor: of the medians, and the median of the rounds' own."""
    base = found[floor]
    for name in names:
        ours = found[name]
        ours["seconds_to_floor"] = round(ours["seconds"] / base["seconds"], 2)
        ours["wall_to_floor"] = round(ours["wall"] / base["wall"], 2)
        pairs = zip(ours["all_seconds"], base["all_seconds"], strict=True)
        ours["rounds_to_floor"] = round(statistics.median(a / b for a, b in pairs), 2)


def orchestration(found: dict[str, dict[str, Any]]) -> None:
    """Add the share of our seconds that the bare pass does not explain."""
    bare = found["bare_pass"]
    for name, values in found.items():
        if name.startswith("run"):
            values["orchestration"] = round(1 - bare["seconds"] / values["seconds"], 3)
            values["orchestration_wall"] = round(1 - bare["wall"] / values["wall"], 3)


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


def standard_rows(report: dict[str, Any]) -> list[str]:
    """Lines for the table in README.md, one for each of our commands."""
    found = report["medians"]
    floor = found["floor"]
    lines = []
    for name, command in (
        ("run", "run"),
        ("run_coco", "run --labels --export coco"),
        ("run_vectors", "run with text vectors"),
    ):
        ours = found[name]
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


def race_rows(report: dict[str, Any]) -> list[str]:
    """Lines for the table of the race, one for each who took part."""
    lines = []
    for name in ("race", "race_floor", "pixeltable", "datachain"):
        if name in report["medians"]:
            one = report["medians"][name]
            cells = (
                report["date"],
                report["commit"],
                f"`{name}`",
                f"{one['seconds']} s",
                f"{one['pictures_per_second']}/s",
                f"{one.get('seconds_to_floor', '')}",
                f"{one['cpu']} s",
                f"{one['peak_mib']} MiB",
                f"{one['elsewhere']:.0%}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def milliseconds(found: dict[str, dict[str, Any]], count: int) -> dict[str, float]:
    """What each detecting step adds per picture, in milliseconds of wall time."""
    base = found["detect_none"]["seconds"]
    return {
        kind: round((found[f"detect_{kind}"]["seconds"] - base) / count * 1000, 1)
        for kind in ("text", "codes")
    }


def some_of(folder: Path, count: int, place: Path) -> Path:
    """A folder with the first `count` pictures of another."""
    place.mkdir()
    for file in sorted(folder.iterdir())[:count]:
        shutil.copy2(file, place)
    return place


def reported(arguments: argparse.Namespace, folder: Path, scratch: Path) -> dict[str, Any]:
    """Measure everything that was asked for."""
    count, rounds = arguments.pictures, arguments.rounds
    found: dict[str, dict[str, Any]] = {}
    costs = {}
    if not arguments.only_race:
        labels = scratch / "labels.json"
        generator.label(folder, labels)
        found = medians(measure(standard(folder, labels), rounds, scratch), count)
        compared(found, "floor", list(found))
        orchestration(found)
    contenders = race(folder, arguments.pixeltable, arguments.datachain)
    found |= medians(measure(contenders, rounds, scratch), count)
    if "race_floor" in contenders:
        compared(found, "race_floor", list(contenders))
    else:
        print(f"{SHARED} is missing: no floor and no peers in the race", file=sys.stderr)
    if arguments.detect_pictures:
        some = some_of(folder, arguments.detect_pictures, scratch / "some")
        steps = medians(measure(detecting(some), rounds, scratch), arguments.detect_pictures)
        costs = milliseconds(steps, arguments.detect_pictures)
        found |= steps
    return {"medians": found, "milliseconds_per_picture": costs}


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)")
    parser.add_argument("--folder", type=Path, help="keep the pictures here (default: temporary)")
    parser.add_argument("--only-race", action="store_true", help="the race alone")
    parser.add_argument("--pixeltable", type=Path, help="an interpreter that has Pixeltable")
    parser.add_argument("--datachain", type=Path, help="an interpreter that has DataChain")
    parser.add_argument(
        "--detect-pictures",
        type=int,
        default=100,
        help="pictures for the cost of text and codes (default 100; 0: not measured)",
    )
    return parser.parse_args()


def main() -> int:
    """Make the pictures, measure, print."""
    arguments = parsed()
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        scratch = Path(place)
        folder = arguments.folder or scratch / "pictures"
        generator.make(folder, arguments.pictures)
        for file in folder.iterdir():
            file.read_bytes()  # so that the first command does not pay for a cold page cache
        busy = os.getloadavg()[0]
        try:
            results = reported(arguments, folder, scratch)
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
        **results,
    }
    print(json.dumps(report, indent=1))
    lines = [] if arguments.only_race else standard_rows(report)
    print("\n".join(lines + race_rows(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
