"""Read with this project what other people's tools wrote, and compare it with what they had been given.

    python tests/conformance/read_others.py OUT

OUT is the folder that `write_others.py` made. Every picture with boxes has to come back with the same boxes of the same
classes at the same place: within 0.001 px from COCO (0.0051 px from Datumaro's, which has two decimals), 0.01 px from YOLO, 2 px from Pascal VOC
(whole pixels, with or without the devkit's 1). Pictures without boxes that a tool did not write are counted. Prints a
table; the exit status is 0 when all agree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from readings import Box, Reading, differences, largest_distance

from aion_dagster.formats.labels import read_labels

TOLERANCE = {"coco": 0.001, "yolo": 0.01, "voc": 2.0}
"""Pixels by format."""

ROUNDED = {("datumaro", "coco"): 0.0051}
"""Tools that write two decimals: half of the second, twice rounded in binary."""


def seen(folder: Path, sizes: dict[str, tuple[int, int]]) -> dict[str, list[Box]]:
    """Pictures and boxes as this project reads them, by name without folder and extension of the tool's own."""
    labels = read_labels(folder)
    names = {
        row["label_image"]: matching(row["file_name"], sizes) for row in labels.images.to_pylist()
    }
    found: dict[str, list[Box]] = {name: [] for name in names.values()}
    for row in labels.annotations.to_pylist():
        name, box = names[row["label_image"]], row["bbox"]
        width, height = sizes[name] if row["normalized"] else (1, 1)
        x, y, w, h = (box[k] * s for k, s in zip("xywh", (width, height) * 2, strict=True))
        found[name].append((row["category"], x, y, x + w, y + h))
    return found


def matching(name: str, sizes: dict[str, tuple[int, int]]) -> str:
    """The picture that a name means: tools keep its folders, or not."""
    stem = name.rpartition(".")[0] if name.rpartition(".")[2].lower() in ("jpg", "jpeg", "png", "webp", "bmp") else name  # fmt: skip
    if stem in sizes:
        return stem
    ends = [known for known in sizes if stem.endswith(f"/{known}") or known.endswith(f"/{stem}")]
    return ends[0] if len(ends) == 1 else stem


def row(folder: Path, given: dict[str, Any]) -> tuple[bool, str]:
    """Whether a folder holds what its tool was given, and a line of the table."""
    tool, name, split = folder.name.split("-", 2)
    own = given["splits"][split]
    boxes = {picture: [tuple(b) for b in rows] for picture, rows in own["boxes"].items()}
    try:
        found = seen(folder, own["sizes"])
    except Exception as error:  # noqa: BLE001 - whatever is raised is the finding
        return False, f"{tool:<12}{name:<6}{split:<7}{type(error).__name__}: {error}"
    absent = [p for p in boxes if p not in found and not boxes[p]]
    wanted = {p: rows for p, rows in boxes.items() if p not in absent}
    tolerance = ROUNDED.get((tool.lower(), name), TOLERANCE[name])
    before = Reading(name, "given", split, wanted, None, tolerance)
    after = Reading(name, tool, split, found, None, tolerance)
    problems = differences(before, after)
    notes = [*problems, *([f"{len(absent)} empty pictures not written by it"] if absent else [])]
    distance = f"{largest_distance(before, after):.5f}"
    line = f"{tool:<12}{name:<6}{split:<7}{len(found):>8}{after.boxes:>7}{distance:>11}  "
    return not problems, line + ("; ".join(notes) or "ok")


def main() -> int:
    """Compare all folders."""
    target = Path(sys.argv[1])
    given = json.loads((target / "reference.json").read_text())
    rows = [row(folder, given) for folder in sorted(target.iterdir()) if folder.is_dir()]
    print("\nwritten by  as    split  pictures  boxes  off by px")
    print("\n".join(line for _, line in rows))
    agreeing = sum(fine for fine, _ in rows)
    print(f"{agreeing} of {len(rows)} agree")
    return 0 if rows and agreeing == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
