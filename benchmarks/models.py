"""Models of the extra `models`: pictures per second by kind, and on a graphics card the share of time it is busy.

    python benchmarks/models.py [--model FOLDER_OR_HUB_ID@REVISION …] [--device auto|cpu|cuda] [--pictures FOLDER]
        [--count 64] [--batch-size 32] [--rounds 3] [--json FILE]

What a model is asked for follows from what it is: captions and text (Florence-2), captions (models that are talked to), image
vectors (SigLIP, CLIP), objects (detectors). Without `--model` tiny ones with random weights are written and measured: that
shows what the package itself costs around a model, and nothing about any real one.

Every kind runs through `LocalBackend` as in a run: files in, decoded and reduced, computed in batches, rows out. Kinds take
turns in each round after one round that does not count; medians. Wall time decides, as a graphics card's work is no CPU time; CPU
time is given beside it, also in u: that of one full simplejpeg decode of a 640 × 480 picture, one thread. Busy is what
`nvidia-smi` says every 0.1 s: the share of time in which anything at all ran on the card.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
import transformers
from PIL import Image

from aion_dagster.backends.local import LocalBackend
from aion_dagster.backends.protocol import DescribeRequest, Picture
from aion_dagster.compute.model_files import resolve_model
from aion_dagster.compute.models.generation import Generator
from aion_dagster.compute.picture_pass import PassSettings, PictureInput, run_pass
from aion_dagster.engines import ModelConfig, ModelsConfig
from aion_dagster.errors import AionError
from aion_dagster.values import FileRef

TESTS = Path(__file__).resolve().parents[1] / "tests" / "models"
TINY = ("florence", "llava", "siglip", "clip", "yolos")
SIZE = (640, 480)


@dataclass
class Kind:
    """What one model is asked for, and what every round took."""

    model: str
    what: str
    ask: Callable[[], int]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


def tiny_models(folder: Path) -> list[str]:
    """Folders of models with random weights."""
    sys.path.insert(0, str(TESTS))
    import tiny_models as written

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    return [str(getattr(written, name)(folder / name)) for name in TINY]


def made_pictures(count: int) -> list[bytes]:
    """JPEG files of smooth colors with some noise, 640 × 480."""
    random = np.random.default_rng(1)
    files = []
    for _ in range(count):
        coarse = random.integers(0, 256, (15, 20, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC), float)
        pixels = np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def described(files: Sequence[bytes]) -> DescribeRequest:
    """What a captioner is given in a run: measurements and the large variants."""
    inputs = [
        PictureInput(
            FileRef("s", f"file:///{i}", f"{i}.jpg", "1", len(data), datetime.now(UTC)),
            lambda data=data: data,
        )
        for i, data in enumerate(files)
    ]
    chunks = list(run_pass(inputs, PassSettings()))
    large: dict[str, bytes] = {}
    for chunk in chunks:
        columns = (chunk.variants[c].to_pylist() for c in ("image_id", "large_1024"))
        large |= dict(zip(*columns, strict=True))
    first = chunks[0]
    tables = [
        type(first.images).from_batches([b for c in chunks for b in getattr(c, name).to_batches()])
        for name in ("images", "color_analyses", "visual_features")
    ]
    return DescribeRequest(*tables, None, None, variants=lambda ids: {i: large[i] for i in ids})


def kinds_of(model: str, files: Sequence[bytes], device: str, batch_size: int) -> list[Kind]:
    """Everything that a model can be asked for."""
    named = ModelConfig.model_validate(model)
    found = resolve_model(named.model, named.revision)
    config = transformers.AutoConfig.from_pretrained(
        found.folder, local_files_only=True, trust_remote_code=False
    )

    def backend(**models: Any) -> LocalBackend:
        return LocalBackend(models=ModelsConfig(device=device, batch_size=batch_size, **models))

    pictures = [Picture(f"{i}", f"{i:064x}", lambda d=d: d) for i, d in enumerate(files)]

    def rows(ask: Callable[[Sequence[Picture]], Iterator[Any]]) -> Callable[[], int]:
        return lambda: sum(table.num_rows for table in ask(pictures))

    if type(config) in transformers.MODEL_FOR_OBJECT_DETECTION_MAPPING:
        return [Kind(found.identity, "objects", rows(backend(objects=named).detect_objects))]
    if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return [Kind(found.identity, "image vectors", rows(backend(joint=named).embed_images))]
    request, captions = described(files), backend(captions=named)
    kinds = [Kind(found.identity, "captions", lambda: captions.describe(request).num_rows)]
    if Generator.load(found, device="cpu").tasks:
        kinds.append(Kind(found.identity, "text", rows(backend(ocr=named).detect_text)))
    return kinds


@contextmanager
def watching(device: str) -> Iterator[list[float]]:
    """Shares of time in which the card was busy, filled when the block ends; empty where nothing tells."""
    shares: list[float] = []
    if device != "cuda" or shutil.which("nvidia-smi") is None:
        yield shares
        return
    card = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    asked = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    with subprocess.Popen(
        ["nvidia-smi", "-i", card, *asked], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield shares
        finally:
            process.terminate()
            said, _ = process.communicate()
            shares += [int(line) / 100 for line in said.split() if line.isdecimal()]


def decode_seconds(data: bytes, times: int = 50) -> float:
    """u: CPU seconds of one decode."""
    taken = []
    for _ in range(times):
        before = time.thread_time()
        simplejpeg.decode_jpeg(data)
        taken.append(time.thread_time() - before)
    return statistics.median(taken)


def measure(kinds: Sequence[Kind], device: str, rounds: int) -> None:
    """Let all kinds take turns; the first round loads models and fills caches."""
    for number in range(rounds + 1):
        for kind in kinds:
            with watching(device) as busy:
                wall, cpu = time.perf_counter(), time.process_time()
                kind.ask()
                if device == "cuda":
                    torch.cuda.synchronize()
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if number:
                kind.wall.append(wall)
                kind.cpu.append(cpu)
                kind.busy += busy


def summary(kind: Kind, count: int, u: float) -> dict[str, Any]:
    """The figures of a kind."""
    cpu = statistics.median(kind.cpu) / count
    return {
        "model": kind.model,
        "what": kind.what,
        "pictures per second": round(count / statistics.median(kind.wall), 2),
        "CPU ms per picture": round(cpu * 1000, 2),
        "in u": round(cpu / u, 1),
        "device busy": round(statistics.fmean(kind.busy), 3) if kind.busy else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", default=[], metavar="FOLDER_OR_HUB_ID@REVISION")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="files to look at instead")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    name = (
        torch.cuda.get_device_name(0) if device == "cuda" else f"{torch.get_num_threads()} threads"
    )
    files = made_pictures(args.count)
    u = decode_seconds(files[0])
    if args.pictures:
        paths = sorted(p for p in args.pictures.rglob("*") if p.is_file())[: args.count]
        files = [path.read_bytes() for path in paths]
        if not files:
            parser.error(f"{args.pictures} holds no files")
    with tempfile.TemporaryDirectory() as folder:
        models = args.model or tiny_models(Path(folder))
        if not args.model:
            print("no --model: tiny models with random weights, which say nothing about real ones")
        kinds = [k for m in models for k in kinds_of(m, files, device, args.batch_size)]
        measure(kinds, device, args.rounds)
    results = [summary(kind, len(files), u) for kind in kinds]
    print(f"{device} ({name}), torch {torch.__version__}, transformers {transformers.__version__}")
    print(
        f"{len(files)} pictures, {args.batch_size} at once, {args.rounds} rounds, u = {u * 1e3:.2f} ms"
    )
    print(f"{'what':14} {'pictures/s':>10} {'CPU ms':>9} {'u':>8} {'busy':>6}  model")
    for r in results:
        busy = "-" if r["device busy"] is None else f"{r['device busy']:.0%}"
        print(
            f"{r['what']:14} {r['pictures per second']:10} {r['CPU ms per picture']:9} {r['in u']:8} {busy:>6}"
            f"  {r['model']}"
        )
    if args.json:
        facts = {
            "device": device,
            "name": name,
            "count": len(files),
            "u": u,
            "random": not args.model,
        }
        args.json.write_text(json.dumps({**facts, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except AionError as error:
        raise SystemExit(f"models.py: {error}") from None
