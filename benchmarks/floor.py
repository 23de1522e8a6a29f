"""The floor: what the work costs with nothing around it but a process pool and one Parquet file.

    python benchmarks/floor.py PICTURES STATE [--processes 2] [--coco FILE]

No partitions, no lineage, no retries, no previews, no checks: list the folder, skip what an earlier
run has done (same path, size and modification time), and for every other picture hash the bytes,
decode once, make a thumbnail, the main colors and a small vector. Whoever orchestrates the same
work is measured against this. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

THUMBNAIL_PX, THUMBNAIL_QUALITY = 256, 85
COLORS, COLOR_GRID = 8, (128, 96)
VECTOR_GRID, VECTOR_LENGTH = 32, 128
PROJECTION = (
    np.random.default_rng(7).standard_normal((VECTOR_GRID**2, VECTOR_LENGTH)) / VECTOR_GRID
).astype(np.float32)
BILINEAR = Image.Resampling.BILINEAR


def thumbnail(picture: Image.Image) -> bytes:
    """A JPEG whose longer side is at most `THUMBNAIL_PX`."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), BILINEAR)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=THUMBNAIL_QUALITY)
    return encoded.getvalue()


def colors(picture: Image.Image) -> str:
    """Main colors by median cut, most frequent first, as JSON [[hex, share], …]."""
    small = picture.convert("RGB").resize(COLOR_GRID, BILINEAR)
    indexed = small.quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    palette = bytes(indexed.getpalette() or ())
    counted = sorted(indexed.getcolors() or (), reverse=True)
    total = indexed.width * indexed.height
    return json.dumps([[f"#{palette[3 * i : 3 * i + 3].hex()}", n / total] for n, i in counted])


def vector(picture: Image.Image) -> list[float]:
    """A unit vector: the picture in small and gray, without its mean, projected at random."""
    gray = picture.convert("L").resize((VECTOR_GRID, VECTOR_GRID), BILINEAR)
    flat = np.asarray(gray, dtype=np.float32).ravel()
    projected = (flat - flat.mean()) @ PROJECTION
    return (projected / (np.linalg.norm(projected) + 1e-9)).tolist()


def row(file: tuple[str, int]) -> dict[str, Any]:
    """Everything about one picture, given as path and modification time."""
    path, modified_ns = file
    content = Path(path).read_bytes()
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return {
        "path": path,
        "size": len(content),
        "mtime_ns": modified_ns,
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": picture.width,
        "height": picture.height,
        "thumb": thumbnail(picture),
        "colors": colors(picture),
        "embedding": vector(picture),
    }


def new_files(pictures: Path, state: Path) -> list[tuple[str, int]]:
    """Path and modification time of every picture that `state` does not know as it is now."""
    known = set()
    for part in sorted(state.glob("part-*.parquet")):
        table = pq.read_table(part, columns=["path", "size", "mtime_ns"])
        known.update(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    found = []
    with os.scandir(pictures) as entries:
        for entry in entries:
            status = entry.stat()
            if (entry.path, status.st_size, status.st_mtime_ns) not in known:
                found.append((entry.path, status.st_mtime_ns))
    return sorted(found)


def write_coco(state: Path, target: Path) -> None:
    """The pictures as a COCO file without annotations."""
    images: list[dict[str, Any]] = []
    for part in sorted(state.glob("part-*.parquet")):
        for known in pq.read_table(part, columns=["path", "width", "height"]).to_pylist():
            name = Path(known.pop("path")).name
            images.append({"id": len(images) + 1, "file_name": name, **known})
    target.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))


def main() -> int:
    """Run once and print the times, imports excluded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--coco", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    arguments.state.mkdir(parents=True, exist_ok=True)
    files = new_files(arguments.pictures, arguments.state)
    if files:
        with multiprocessing.Pool(arguments.processes) as pool:
            rows = pool.map(row, files, chunksize=16)
        part = arguments.state / f"part-{time.time_ns()}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), part)
    if arguments.coco:
        write_coco(arguments.state, arguments.coco)
    seconds = time.perf_counter() - started
    print(json.dumps({"files": len(files), "seconds": round(seconds, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
