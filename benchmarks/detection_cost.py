"""What looking for text and for codes costs per picture, beside everything else about it.

    python benchmarks/detection_cost.py [--rounds 5] [--json FILE]

The pictures are those of the race (`run_1000.py`): photograph-like, 640 × 480, without text. One thread, CPU time, medians over
interleaved rounds; u is one full simplejpeg decode of the same pictures. Decoding the picture for the look is counted with it:
both steps read the file anew, as in the product.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}

import cv2
import pictures
from pass_cost import cpu_ms, decode, everything, vga

from aion_dagster.backends.local import CODE_SIDE, TEXT_SIDE
from aion_dagster.compute.codes import detect_codes
from aion_dagster.compute.decode import upright_rgb
from aion_dagster.compute.text_regions import TextDetector

Work = Callable[[Sequence[bytes]], None]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    detector = TextDetector.load()

    def text(files: Sequence[bytes]) -> None:
        for data in files:
            detector.detect(upright_rgb(data, longest_side=TEXT_SIDE)[0])

    def codes(files: Sequence[bytes]) -> None:
        for data in files:
            detect_codes(upright_rgb(data, longest_side=CODE_SIDE)[0])

    functions: dict[str, Work] = {
        "a decode": decode,
        "everything but text and codes": everything,
        "text": text,
        "codes": codes,
    }
    files = vga(pictures.originals())
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(arguments.rounds + 1):
        for name, function in functions.items():
            milliseconds = cpu_ms(function, files)
            if number:  # the first round warms up
                taken[name].append(milliseconds)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    results = {name: {"ms": ms, "u": ms / medians["a decode"]} for name, ms in medians.items()}
    for name, found in results.items():
        print(f"{name:30} {found['ms']:8.2f} ms {found['u']:7.1f} u a picture")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
