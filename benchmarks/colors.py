"""What the colors of a picture cost, and how near they are to its pixels, beside scikit-learn's k-means.

    python benchmarks/colors.py [--rounds 15] [--json FILE]

One thread, CPU time, medians over interleaved rounds; u is one full decode of a 640 × 480 JPEG by simplejpeg in the same
run. Quality is the mean CIEDE2000 from pixels of the picture to the nearest color; k-means sees the picture at 96 pixels, ours what the
pass counts: halved until it is below.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pictures
import simplejpeg
from pass_cost import cpu_ms, vga
from skimage.color import rgb2lab
from sklearn.cluster import KMeans

from aion_dagster.compute.colors import (
    ANALYSIS_SIDE,
    analysis_pixels,
    analyze_colors,
    delta_e_2000,
    named_colors,
)
from aion_dagster.compute.resize import fitted_size, shrink

Pixels = np.ndarray


def small(pixels: Pixels) -> Pixels:
    """As the pass shrinks it."""
    return analysis_pixels(shrink(pixels, 256))


def averages(pixels: Pixels) -> Pixels:
    size = fitted_size(pixels.shape[1], pixels.shape[0], ANALYSIS_SIDE)
    return np.asarray(cv2.resize(shrink(pixels, 256), size, interpolation=cv2.INTER_AREA))


def nearest(sample: Pixels, palette: Pixels) -> float:
    return float(delta_e_2000(sample[:, None], palette[None]).min(axis=1).mean())


def quality(photographs: list[Pixels], n: int) -> tuple[float, float]:
    ours, theirs = [], []
    random = np.random.default_rng(0)
    for pixels in photographs:
        flat = pixels.reshape(-1, 3)
        sample = rgb2lab(flat[random.integers(0, len(flat), 3000)][None] / 255)[0]
        lab = rgb2lab(averages(pixels) / 255).reshape(-1, 3)
        centers = KMeans(n, n_init=4, random_state=0).fit(lab).cluster_centers_
        ours.append(nearest(sample, analyze_colors(small(pixels), n_colors=n).lab))
        theirs.append(nearest(sample, centers))
    return float(np.mean(ours)), float(np.mean(theirs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    originals = pictures.originals()
    files = vga(originals)
    reduced = [small(simplejpeg.decode_jpeg(data)) for data in files]
    taken: dict[str, list[float]] = {"u": [], "8": [], "16": []}
    for _ in range(args.rounds):
        taken["u"].append(cpu_ms(lambda fs: [simplejpeg.decode_jpeg(f) for f in fs], files))
        for n in (8, 16):
            taken[str(n)].append(
                cpu_ms(
                    lambda items, n=n: named_colors([analyze_colors(i, n_colors=n) for i in items]),
                    reduced,
                )
            )
    medians = {name: statistics.median(values) for name, values in taken.items()}
    photographs = [np.asarray(p) for p in originals]
    photographs += [np.asarray(pictures.picture(seed, originals)) for seed in range(6)]
    result: dict[str, Any] = {"u_ms": round(medians["u"], 3)}
    for n in (8, 16):
        ours, theirs = quality(photographs, n)
        result[f"n={n}"] = {
            "ms": round(medians[str(n)], 3),
            "u": round(medians[str(n)] / medians["u"], 3),
            "mean_delta_e": round(ours, 3),
            "k_means_delta_e": round(theirs, 3),
            "ratio": round(ours / theirs, 4),
        }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
