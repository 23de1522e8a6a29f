"""What everything about a picture costs, as a multiple of decoding it once.

    python benchmarks/pass_cost.py [--rounds 15] [--json FILE]

One thread, CPU time, medians over interleaved rounds. "Everything" is what `aion-dagster run` measures of a picture without
looking for text and codes: SHA-256, format, EXIF, the four variants as JPEG, BlurHash, perceptual hash, 16 named colors,
sharpness and contrast, the descriptor. The peer does the same (without descriptor and exact names) with plain Pillow.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import simplejpeg
from PIL import Image

from aion_dagster.compute.blurhash import blurhash
from aion_dagster.compute.colors import named_colors
from aion_dagster.compute.measure import Measured, measure_all
from aion_dagster.compute.pass_settings import PARTS, PassSettings
from aion_dagster.schemas import VARIANTS

GROUP = 8
"""Pictures measured together, as in the product."""


def vga(photographs: list[Image.Image]) -> list[bytes]:
    """Photograph-like pictures of 640 × 480."""
    return [jpeg(pictures.picture(seed, photographs), 90) for seed in range(GROUP * 2)]


def dense(photographs: list[Image.Image]) -> list[bytes]:
    """Photographs at their own resolution beside each other, 2000 × 1072: detail everywhere, coded at quality 97."""
    found = []
    for seed in range(GROUP):
        random = np.random.default_rng(seed)
        canvas = Image.new("RGB", (2000, 1072))
        for top in range(0, 1072, 427):
            for left in range(0, 2000, 640):
                tile = photographs[-1 - int(random.integers(2))]  # the two of 640 × 427
                canvas.paste(tile, (left, top))
        found.append(jpeg(canvas, 97))
    return found


def twelve_megapixels(photographs: list[Image.Image]) -> list[bytes]:
    """Photograph-like pictures enlarged to 4000 × 3000."""
    enlarged = (pictures.picture(s, photographs).resize((4000, 3000)) for s in range(GROUP // 2))
    return [jpeg(image, 90) for image in enlarged]


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode(files: Sequence[bytes]) -> None:
    for data in files:
        simplejpeg.decode_jpeg(data)


def everything(files: Sequence[bytes]) -> None:
    settings = PassSettings()
    for start in range(0, len(files), GROUP):
        group = files[start : start + GROUP]
        for data in group:
            hashlib.sha256(data).hexdigest()
        measured = measure_all(
            group,
            parts=PARTS,
            n_colors=settings.n_colors,
            jpeg_quality=settings.jpeg_quality,
            max_pixels=settings.max_pixels,
        )
        named_colors([m.colors for m in measured if isinstance(m, Measured) and m.colors])


def with_pillow(files: Sequence[bytes]) -> None:
    for data in files:
        hashlib.sha256(data).hexdigest()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        for side in VARIANTS.values():
            copy = image.copy()
            copy.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
            copy.save(io.BytesIO(), "JPEG", quality=PassSettings().jpeg_quality)
        blurhash(np.asarray(copy))
        np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))
        image.resize((96, 72)).quantize(16, Image.Quantize.FASTOCTREE).getcolors()


def cpu_ms(function: Callable[[Sequence[bytes]], None], files: Sequence[bytes]) -> float:
    begun = time.thread_time()
    function(files)
    return (time.thread_time() - begun) * 1000 / len(files)


def measure_size(files: Sequence[bytes], rounds: int) -> dict[str, Any]:
    functions = {"decode": decode, "everything": everything, "pillow": with_pillow}
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(cpu_ms(function, files))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = [e / d for e, d in zip(taken["everything"], taken["decode"], strict=True)]
    return {
        **{f"{name}_ms": round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["everything"] / medians["decode"], 3),
        "ratio_of_rounds": [round(r, 3) for r in sorted(ratios)],
        "pillow_ratio": round(medians["pillow"] / medians["decode"], 2),
        "bytes": statistics.mean(map(len, files)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    photographs = pictures.originals()
    results = {}
    for name, make in (("640x480", vga), ("2 MP dense", dense), ("12 MP", twelve_megapixels)):
        results[name] = found = measure_size(make(photographs), args.rounds)
        print(
            f"{name:11} decode {found['decode_ms']:7.2f} ms, everything {found['everything_ms']:7.2f} ms: "
            f"{found['ratio']:.2f} decodes; plain Pillow {found['pillow_ratio']:.1f}"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
