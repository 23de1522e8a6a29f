"""Import of a COCO file against its floor: the JSON parsed by orjson, and its columns made by Arrow, without checks.

    python benchmarks/label_import.py [--pictures 100000] [--boxes 1000000] [--rounds 3] [--json FILE]

Each measurement is a process of its own: CPU seconds (user and system) and the most memory held. Both sides end with the
tables as Parquet files. `boxes` have no masks, `polygons` one each (a fifth as many rows). Made from seed 0.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

NAMES = [f"class {i}" for i in range(20)]
IDS = [1, 2, 3, 5, 8, 13, 16, 20, 21, 22, 31, 33, 35, 37, 40, 44, 52, 60, 80, 90]


def make(path: Path, pictures: int, boxes: int, *, outlined: bool) -> None:
    """Write a COCO file in the order of the official ones."""
    rng = random.Random(0)
    images = [
        {"id": i, "file_name": f"img_{i:07d}.jpg", "width": 640, "height": 480}
        for i in range(1, pictures + 1)
    ]
    with path.open("wb") as file:
        file.write(
            b'{"info":{},"licenses":[],"images":' + orjson.dumps(images) + b',"annotations":['
        )
        for number in range(1, boxes + 1):
            w, h = round(rng.uniform(5, 200), 2), round(rng.uniform(5, 200), 2)
            x, y = round(rng.uniform(0, 640 - w), 2), round(rng.uniform(0, 480 - h), 2)
            points = 2 * rng.randint(4, 30) if outlined else 0
            row = {
                "id": number,
                "image_id": rng.randint(1, pictures),
                "category_id": rng.choice(IDS),
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
                "segmentation": [[round(rng.uniform(0, 480), 2) for _ in range(points)]]
                if outlined
                else [],
            }
            file.write((b"," if number > 1 else b"") + orjson.dumps(row))
        categories = [{"id": c, "name": n} for c, n in zip(IDS, NAMES, strict=True)]
        file.write(b'],"categories":' + orjson.dumps(categories) + b"}")


def floor(source: Path, out: Path) -> None:
    """orjson and Arrow: every value of the file in a column, nothing looked at."""
    content = orjson.loads(source.read_bytes())
    images, rows = content["images"], content["annotations"]
    names = {c["id"]: c["name"] for c in content["categories"]}
    table = {k: [i[k] for i in images] for k in ("id", "file_name", "width", "height")}
    pq.write_table(pa.table(table), out / "images.parquet")
    boxes = list(zip(*[r["bbox"] for r in rows], strict=True))
    columns: dict[str, Any] = {
        "id": [r["id"] for r in rows],
        "image_id": [r["image_id"] for r in rows],
        "category": [names[r["category_id"]] for r in rows],
        **{k: pa.array(side, pa.float64()) for k, side in zip("xywh", boxes, strict=True)},
        "iscrowd": [r["iscrowd"] for r in rows],
        "segmentation": pa.array(
            [r["segmentation"] for r in rows], pa.list_(pa.list_(pa.float64()))
        ),
    }
    pq.write_table(pa.table(columns), out / "annotations.parquet")


def ours(source: Path, out: Path) -> None:
    """What the asset `labels` does: read, check, name every row, and write."""
    from aion_dagster.formats.labels import read_labels

    labels = read_labels(source)
    for name, table in labels.tables().items():
        pq.write_table(table, out / f"{name}.parquet")


def measure(side: str, source: Path) -> tuple[float, float, float]:
    """CPU seconds, seconds and MB of one import in a process of its own; imports of modules are not counted."""
    command = [sys.executable, __file__, "--one", side, "--source", str(source)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cpu, wall, megabytes = json.loads(done.stdout)
    return cpu, wall, megabytes


def one(side: str, source: Path) -> None:
    """The child: one import, its cost as JSON."""
    import aion_dagster.formats.labels  # noqa: F401 - imported before the clock starts

    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        {"floor": floor, "ours": ours}[side](source, Path(folder))
        cost = [time.process_time() - cpu, time.perf_counter() - wall]
    print(json.dumps([*cost, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=["floor", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.source)
        return
    results = []
    print(
        "| file | MB | floor CPU s | ours CPU s | ratio | floor MB | ours MB |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind, share in (("boxes", 1), ("polygons", 5)):
            source = Path(folder, f"{kind}.json")
            make(source, args.pictures // share, args.boxes // share, outlined=kind == "polygons")
            runs = [(measure("floor", source), measure("ours", source)) for _ in range(args.rounds)]
            size = source.stat().st_size / 1e6
            cost = [
                [statistics.median(r[side][i] for r in runs) for i in range(3)] for side in (0, 1)
            ]
            ratio = statistics.median(o[0] / f[0] for f, o in runs)
            print(
                f"| {kind} | {size:.0f} | {cost[0][0]:.2f} | {cost[1][0]:.2f} | {ratio:.2f} | {cost[0][2]:.0f} | {cost[1][2]:.0f} |"
            )
            results.append(
                {"file": kind, "mb": size, "floor": cost[0], "ours": cost[1], "ratio": ratio}
            )
    text = json.dumps({"pictures": args.pictures, "boxes": args.boxes, "results": results})
    print(text)
    if args.json:
        args.json.write_text(text)


if __name__ == "__main__":
    main()
