"""Search at size: 100,000 vectors and described pictures, 800,000 palette colors.

    python benchmarks/search.py [--rounds 9] [--json FILE]

Everything on one thread, in CPU time, as multiples of u: one full simplejpeg decode of a 640 × 480 picture, measured in
the same run, in turns with what is measured. Medians over the rounds. Vectors are random unit vectors (the hardest case
for codes) and unit vectors in clusters; they are written and read through the package's own table store. Words follow
Zipf's law; queries are drawn the same way, so that frequent words are asked for more often. Palettes are spread over all
colors, and distributed as those of photographs.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import simplejpeg
from pictures import originals, picture

from aion_dagster import schemas
from aion_dagster.compute.color_space import delta_e_2000, lab_of_rgb
from aion_dagster.search.color_query import ColorQuery, lab_of_hex
from aion_dagster.search.index import WordIndex
from aion_dagster.search.index_update import update_index
from aion_dagster.search.palettes import PaletteIndex
from aion_dagster.search.vectors import VectorIndex
from aion_dagster.storage.store import Store

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROWS = 100_000
DIMENSIONS = schemas.TEXT_VECTOR_DIMENSIONS
COLORS_EACH = 8
HEXES = ("#c4a87c", "#0000ff", "#00ff00", "#808080", "#ff00ff", "#ffffff", "#3060c0", "#7b3f00")
BARS = {"ready": 500, "vector query": 3, "words": 10, "palette": 20}


def seconds(action: Callable[[], Any]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


class Unit:
    """u, measured again in every round."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        picture(1, originals()).save(buffer, "JPEG", quality=90)
        self._data = buffer.getvalue()
        self.samples: list[float] = []

    def measure(self) -> None:
        for _ in range(10):
            self.samples.append(seconds(lambda: simplejpeg.decode_jpeg(self._data)))

    @property
    def value(self) -> float:
        return statistics.median(self.samples)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vectors_of(kind: str, random: np.random.Generator) -> np.ndarray:
    noise = random.standard_normal((ROWS, DIMENSIONS), np.float32)
    if kind == "random":
        return unit(noise)
    centers = random.standard_normal((500, DIMENSIONS))
    return unit(centers[random.integers(0, 500, ROWS)] + 0.7 * noise)


def bench_vectors(kind: str, folder: Path, rounds: int, u: Unit) -> dict[str, Any]:
    random = np.random.default_rng(0)
    vectors = vectors_of(kind, random)
    with Store.open(folder / kind) as store:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSIONS)
        columns = [
            pa.array([f"{i:032x}" for i in range(ROWS)]),
            pa.array(["text"] * ROWS),
            pa.array(["model"] * ROWS),
            flat,
        ]
        table = pa.Table.from_arrays(columns, schema=schemas.EMBEDDINGS)
        for part in range(4):
            size = ROWS // 4
            store.tables.write("embeddings", table.slice(part * size, size), batch=f"b{part}")
        paths = [store.tables.path("embeddings", b) for b in store.tables.batches("embeddings")]
        size = sum(p.stat().st_size for p in paths)

    def ready() -> None:
        nonlocal index
        index = VectorIndex.from_parquet(paths)
        index.prepare()

    index = VectorIndex(pa.chunked_array([], pa.string()), [])
    reads = []
    for _ in range(rounds):
        u.measure()
        reads.append(seconds(ready))
    near = unit(
        vectors[random.integers(0, ROWS, 100)] + 0.03 * random.standard_normal((100, DIMENSIONS))
    )
    queries = np.concatenate([near, unit(random.standard_normal((100, DIMENSIONS)))])
    tenths = np.sort(queries @ vectors.T, axis=1)[:, -10]
    times, hits = [], 0
    for _ in range(rounds):
        u.measure()
        for query, tenth in zip(queries, tenths, strict=True):
            start = time.process_time()
            found = index.nearest(query, 10)
            times.append(time.process_time() - start)
            hits += sum(h.score >= tenth - 1e-6 for h in found)
    flat_times = [seconds(lambda q=q: np.argpartition(vectors @ q, -10)) for q in queries[:30]]
    return {
        "ready": statistics.median(reads),
        "query": statistics.median(times),
        "query p95": float(np.percentile(times, 95)),
        "recall@10": hits / (rounds * len(queries) * 10),
        "numpy flat": statistics.median(flat_times),
        "megabytes of Parquet": size / 1e6,
    }


def zipf_words(random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    letters = np.array(list("abcdefghijklmnoprstuvwyz"))
    words = list(
        dict.fromkeys(
            "".join(random.choice(letters, random.integers(4, 10))) for _ in range(30_000)
        )
    )
    shares = 1 / np.arange(20, 20 + len(words))
    return words, shares / shares.sum()


def bench_words(folder: Path, rounds: int, u: Unit) -> dict[str, Any]:
    random = np.random.default_rng(1)
    words, shares = zipf_words(random)
    drawn = np.array(words)[random.choice(len(words), (ROWS, 32), p=shares)]
    ids = [f"{i:032x}" for i in range(ROWS)]
    descriptions = pa.table(
        {
            "image_id": ids,
            "title": [" ".join(row[:5]) for row in drawn],
            "description": [" ".join(row[5:27]) for row in drawn],
            "tags": [list(row[27:]) for row in drawn],
            "visible_text": pa.nulls(ROWS, pa.string()),
        }
    )
    batches = {f"b{i}": "1" for i in range(200)}
    size = ROWS // len(batches)
    library = pa.table(
        {
            "image_id": ids,
            "name": [f"IMG_{i:05d}.jpg" for i in range(ROWS)],
            "batch": [f"b{i // size}" for i in range(ROWS)],
            "locations": pa.nulls(ROWS),
            "superseded_by": pa.nulls(ROWS),
            "deleted_at": pa.nulls(ROWS),
        }
    )
    target = folder / "words.sqlite"

    def read(batch: str) -> pa.Table:
        return descriptions.slice(int(batch[1:]) * size, size)

    def update(prints: dict[str, str]) -> float:
        return seconds(
            lambda: update_index(target, library=library, batches=prints, read_descriptions=read)
        )

    built = update(batches)
    nothing = update(batches)
    descriptions = descriptions.set_column(
        1, "title", pa.array(["changed " + t for t in descriptions["title"].to_pylist()])
    )
    one = update({**batches, "b7": "2"})
    queries = [" ".join(random.choice(words, k, p=shares)) for k in (1, 2, 3) for _ in range(40)]
    frequent = " ".join(words[:1])
    times: dict[str, list[float]] = {q: [] for q in (*queries, frequent)}
    found = 0
    with WordIndex.open(target) as index:
        for _ in range(rounds):
            u.measure()
            for query in times:
                start = time.process_time()
                hits = index.search(query, 20)
                index.matches(query, [h.image_id for h in hits])
                times[query].append(time.process_time() - start)
                found += len(hits) > 0
        matching = len(index._ask("SELECT rowid FROM words WHERE words MATCH ?", (frequent,)))
    medians = [statistics.median(times[q]) for q in queries]
    return {
        "query": statistics.median(medians),
        "query p95": float(np.percentile(medians, 95)),
        "query worst": max(medians),
        "the most frequent word": statistics.median(times[frequent]),
        "pictures that have it": matching,
        "queries with results": found / (rounds * len(times)),
        "build": built,
        "update, nothing new": nothing,
        "update, 1 of 200 batches": one,
        "megabytes": target.stat().st_size / 1e6,
    }


def palette_rows(kind: str, random: np.random.Generator) -> np.ndarray:
    count = ROWS * COLORS_EACH
    if kind == "all colors":
        return random.integers(0, 256, (count, 3))
    light = random.normal(100, 50, (count, 1))
    return np.clip(light + random.normal(0, 25, (count, 3)) + [15, 5, -15], 0, 255).astype(int)


def color_table(rgb: np.ndarray, lab: np.ndarray, shares: np.ndarray) -> pa.Table:
    count = len(rgb)
    known = {
        "hex": pa.array([f"#{bytes(c).hex()}" for c in rgb.tolist()]),
        "percentage": pa.array(shares),
        **{c: pa.array(lab[:, i]) for i, c in enumerate(("lab_l", "lab_a", "lab_b"))},
    }
    struct = pa.StructArray.from_arrays(
        [known.get(f.name, pa.nulls(count, f.type)) for f in schemas.DOMINANT_COLOR],
        fields=list(schemas.DOMINANT_COLOR),
    )
    offsets = pa.array(np.arange(0, count + 1, COLORS_EACH, dtype=np.int32))
    ids = [f"{i:032x}" for i in range(ROWS)]
    return pa.table({"image_id": ids, "dominant_colors": pa.ListArray.from_arrays(offsets, struct)})


def bench_palettes(kind: str, rounds: int, u: Unit) -> dict[str, Any]:
    random = np.random.default_rng(2)
    rgb = palette_rows(kind, random)
    lab = lab_of_rgb(rgb).astype(np.float32)
    shares = random.uniform(1, 30, len(rgb)).astype(np.float32)
    table = color_table(rgb, lab, shares)
    index = PaletteIndex.from_table(table)
    built = seconds(lambda: PaletteIndex.from_table(table))
    found, wanted = 0, 0
    times: dict[str, list[float]] = {code: [] for code in HEXES}
    for code in HEXES:
        differences = delta_e_2000(lab, lab_of_hex(code))
        differences[shares < 5] = np.inf
        best = np.sort(differences.reshape(ROWS, COLORS_EACH).min(axis=1))
        expected = best[best < 15][:50]
        hits = index.search(ColorQuery(code), 50)
        wanted += len(expected)
        found += sum(abs(h.delta_e - d) < 1e-6 for h, d in zip(hits, expected, strict=True))
    for _ in range(rounds):
        u.measure()
        for code in HEXES:
            query = ColorQuery(code)
            times[code].append(seconds(lambda query=query: index.search(query, 50)))
    medians = {code: statistics.median(t) for code, t in times.items()}
    return {
        "query": statistics.median(medians.values()),
        "query worst": max(medians.values()),
        "worst color": max(medians, key=medians.__getitem__),
        "recall": found / wanted,
        "build": built,
    }


def report(title: str, facts: dict[str, Any], u: float) -> None:
    print(f"\n{title}")
    for name, value in facts.items():
        if isinstance(value, float) and not name.startswith(("recall", "megabytes", "queries")):
            print(f"  {name:28} {value * 1e3:9.2f} ms {value / u:9.2f} u")
        else:
            print(f"  {name:28} {value if isinstance(value, str | int) else round(value, 4)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in THREADS):
        # Libraries read these when they are loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS})
    faiss.omp_set_num_threads(1)
    pa.set_cpu_count(1)
    u = Unit()
    u.measure()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in ("random", "clusters"):
            results[f"vectors, {kind}"] = bench_vectors(kind, Path(name), args.rounds, u)
        results["words"] = bench_words(Path(name), args.rounds, u)
    for kind in ("all colors", "photographs"):
        results[f"palette, {kind}"] = bench_palettes(kind, args.rounds, u)
    for title, facts in results.items():
        report(title, facts, u.value)
    print(f"\nu = {u.value * 1e3:.3f} ms; bars in u: {BARS}; recall@10 0.999, of colors 1")
    if args.json:
        args.json.write_text(json.dumps({"u": u.value, "seconds": results, "bars": BARS}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
