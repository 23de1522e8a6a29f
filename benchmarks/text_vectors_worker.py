"""Makes vectors of texts on one thread, when its standard input says so, and reports the CPU seconds that it took.

    python text_vectors_worker.py ENGINE MODEL TEXTS.json FOLDER

ENGINE is `onnxruntime` or `numpy` (this project) or `sentence-transformers` (the peer, run by an interpreter that has it).
MODEL is the folder of the model. The first line of output gives the CPU seconds from the beginning of the process to the answer of a first query; after each line of
input, the name of a set in TEXTS.json, follows one with the CPU seconds of its vectors, and FOLDER/NAME.npy. The last line,
after the end of input, gives the peak memory in MiB. Libraries take their number of threads from the environment.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def project(engine: str, model: str) -> Callable[[list[str]], Any]:
    from aion_dagster.compute.text_vectors import TextEncoder

    return TextEncoder.load(model, threads=1, engine=engine).encode


def peer(model: str) -> Callable[[list[str]], Any]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder = SentenceTransformer(model, device="cpu")

    def encode(texts: list[str]) -> Any:
        return encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    return encode


def main() -> None:
    engine, model, texts_file, folder = sys.argv[1:]
    encode = peer(model) if engine == "sentence-transformers" else project(engine, model)
    encode(["the first query"])
    print(json.dumps({"start_cpu": time.process_time()}), flush=True)
    sets = json.loads(Path(texts_file).read_text("utf-8"))
    for line in sys.stdin:
        name = line.strip()
        before = time.process_time()
        vectors = encode(sets[name])
        took = time.process_time() - before
        np.save(Path(folder) / f"{name}.npy", vectors)
        print(json.dumps({"cpu_seconds": took}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": peak}), flush=True)


if __name__ == "__main__":
    main()
