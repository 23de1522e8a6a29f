"""Words read in pictures with known text, and what that costs, beside rapidocr as it comes.

    python benchmarks/text_in_pictures.py [--rounds 3] [--photographs FOLDER] [--json FILE]

The set (`tests/compute/text_scenes.py`) has pictures with known text of nine kinds, 320 × 213 to 12 MP, and photographs
without any. All read the same JPEGs from their bytes, one after the other, picture by picture, on one thread; CPU time,
medians. u is the CPU time of one full simplejpeg decode of a 640 × 480 picture.

Words are runs of letters and digits, case folded, compared as multisets: recall is the share of those written that were read,
precision the share of those read that were written. "Repaired" is rapidocr as it comes too, but for its detector's subnormal
weights (`compute/text_weights.py`): what our reading gains beyond that.

FOLDER holds photographs without text: what is read there is counted apart, as invented words.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}

import cv2
import rapidocr
import simplejpeg
from pictures import originals, picture

from aion_dagster.compute.decode import upright_rgb
from aion_dagster.compute.text_regions import READ_SIDE, TextDetector, visible_text
from aion_dagster.compute.text_weights import without_subnormals

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "compute"))
from text_pictures import TextPicture, jpeg, words_of
from text_scenes import SCENES, scene

OURS, PEER, REPAIRED = "ours", "rapidocr", "repaired"
BAR = 0.5
"""Share of the peer's CPU time that ours may take at most, at the peer's recall at least."""
ONE_THREAD = {
    "Global.log_level": "critical",
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}
Read = Callable[[bytes], str]


@dataclass
class Tally:
    """Words written, read, and read right; seconds of CPU."""

    written: int = 0
    read: int = 0
    right: int = 0
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        self.written += other.written
        self.read += other.read
        self.right += other.right
        self.seconds += other.seconds

    def facts(self) -> dict[str, float | int | None]:
        return {
            "written": self.written,
            "read": self.read,
            "right": self.right,
            "recall": self.right / self.written if self.written else None,
            "precision": self.right / self.read if self.read else None,
            "cpu_seconds": self.seconds,
        }


@dataclass
class Run:
    """One engine on one picture over all rounds."""

    text: str = ""
    seconds: list[float] = field(default_factory=list)

    def tally(self, shown: TextPicture) -> Tally:
        read, written = words_of(self.text), shown.words
        right = sum((Counter(read) & Counter(written)).values())
        return Tally(len(written), len(read), right, statistics.median(self.seconds))


def engines(folder: Path) -> dict[str, Read]:
    """Those that read, ready."""
    detector = TextDetector.load()
    (weights,) = (Path(rapidocr.__file__).parent / "models").glob("*_det_*.onnx")
    repaired = folder / weights.name
    repaired.write_bytes(without_subnormals(weights.read_bytes()))

    def ours(data: bytes) -> str:
        return visible_text(detector.detect(upright_rgb(data, longest_side=READ_SIDE)[0]))

    def peer(**settings: Any) -> Read:
        engine = rapidocr.RapidOCR(params=ONE_THREAD | settings)
        return lambda data: "\n".join(engine(data).txts or ())

    return {OURS: ours, PEER: peer(), REPAIRED: peer(**{"Det.model_path": str(repaired)})}


def race(readers: dict[str, Read], shown: list[TextPicture], rounds: int) -> list[dict[str, Run]]:
    """Every picture by every engine in turn, in changing order."""
    runs = [{name: Run() for name in readers} for _ in shown]
    for number in range(rounds):
        for seen, run in zip(shown, runs, strict=True):
            order = list(readers)
            for name in order[number % len(order) :] + order[: number % len(order)]:
                begin = time.process_time()
                run[name].text = readers[name](seen.jpeg)
                run[name].seconds.append(time.process_time() - begin)
            print(f"\rround {number + 1}: {seen.name:24}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return runs


def decode_seconds() -> float:
    """u: a full decode of a 640 × 480 JPEG."""
    data = jpeg(picture_of(0), 90)
    times = []
    for _ in range(101):
        begin = time.process_time()
        simplejpeg.decode_jpeg(data, colorspace="RGB")
        times.append(time.process_time() - begin)
    return statistics.median(times)


def picture_of(seed: int) -> Any:
    import numpy as np

    return np.asarray(picture(seed, originals()))


def sums(shown: list[TextPicture], runs: list[dict[str, Run]]) -> dict[str, dict[str, Tally]]:
    """Kind of picture, and `all`, → engine → tally."""
    found: dict[str, dict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))
    for seen, run in zip(shown, runs, strict=True):
        for name, one in run.items():
            for kind in (seen.kind, "all"):
                found[kind][name].add(one.tally(seen))
    found["all"] = found.pop("all")
    return found


def table(found: dict[str, dict[str, Tally]], shown: list[TextPicture]) -> None:
    kinds = Counter(seen.kind for seen in shown)
    print(
        f"{'kind':12} pictures words  {'recall':^24}  {'words invented':^24}  {'CPU s':^24} ratio"
    )
    heads = f"{OURS:>7} {PEER:>8} {REPAIRED:>8}"
    print(f"{'':28} {heads}  {heads}  {heads}")
    for kind, by in found.items():
        three = [by[name] for name in (OURS, PEER, REPAIRED)]
        recall = " ".join(
            f"{t.right / t.written:8.4f}" if t.written else f"{'–':>8}" for t in three
        )
        extra = " ".join(f"{t.read - t.right:8}" for t in three)
        seconds = " ".join(f"{t.seconds:8.2f}" for t in three)
        count = kinds.get(kind, len(shown))
        ratio = three[0].seconds / three[1].seconds
        print(f"{kind:12} {count:8} {three[0].written:5} {recall}  {extra}  {seconds} {ratio:5.2f}")


def main() -> int:
    """Read the set; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    shown = [scene(name) for name in SCENES]
    if arguments.photographs:
        files = sorted(p for p in arguments.photographs.rglob("*.jp*g"))
        shown += [TextPicture(p.name, "photographs", p.read_bytes(), ()) for p in files]
    with tempfile.TemporaryDirectory() as folder:
        readers = engines(Path(folder))
        for read in readers.values():
            read(shown[0].jpeg)
        runs = race(readers, shown, arguments.rounds)
    found, u = sums(shown, runs), decode_seconds()
    table(found, shown)
    ours, peer = found["all"][OURS], found["all"][PEER]
    ratio = ours.seconds / peer.seconds
    passed = ours.right >= peer.right and ratio <= BAR
    each = statistics.median(
        run[OURS].tally(seen).seconds / run[PEER].tally(seen).seconds
        for seen, run in zip(shown, runs, strict=True)
    )
    print(f"median of the ratios of single pictures {each:.2f}; u = {u * 1e3:.2f} ms; ", end="")
    print(f"ours takes {ours.seconds / len(shown) / u:.0f} u a picture, rapidocr ", end="")
    print(f"{peer.seconds / len(shown) / u:.0f} u; bar {'reached' if passed else 'missed'}")
    if arguments.json:
        content = {
            "u_seconds": u,
            "ratio": ratio,
            "median_ratio": each,
            "kinds": {k: {n: t.facts() for n, t in by.items()} for k, by in found.items()},
            "pictures": {
                seen.name: {name: one.tally(seen).facts() for name, one in run.items()}
                for seen, run in zip(shown, runs, strict=True)
            },
        }
        arguments.json.write_text(json.dumps(content, indent=1))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
