"""Curation of a large library: near-duplicates, split and fingerprint, anew and with 1 % more pictures.

    python benchmarks/curation.py [--pictures 1000000] [--boxes 3] [--share 0.01] [--seed 7] [--rounds 3]

Each part runs in a process of its own. Tables stand in memory as Arrow, as they come from the store; making them is
not timed. Of an earlier version, the second part gets what is stored of it: the index of near-duplicates, the splits and
the pictures' hashes. Peak memory is that of the process while it curates, the tables (`tables_mib`) included.

A library is in the order of ids and a dataset in that of file names, which has nothing to do with it, as in the product,
whose ids are made of contents. New pictures lie anywhere among the old ones in both.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from aion_dagster import schemas
from aion_dagster.curation.columns import flat, places_in
from aion_dagster.curation.dataset import CLASS, Before, looking_up, with_coded_classes
from aion_dagster.curation.fingerprint import Splits, hashed
from aion_dagster.curation.group_keys import near_duplicate_bond
from aion_dagster.curation.groups import group_places, numbered
from aion_dagster.curation.linking import Places
from aion_dagster.curation.near_duplicates import find_near_duplicates
from aion_dagster.curation.splits import Labelling, split_pictures
from aion_dagster.values import Category

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
CLASSES = tuple(Category(f"class {k:02}", "object") for k in range(80))
ODDS = 1 / np.arange(1, len(CLASSES) + 1)


@dataclass
class Library:
    """Pictures in the order of ids, and their boxes in the order of pictures."""

    pictures: pa.Table
    boxes: pa.Table

    def in_order(self, order: pa.Array) -> Library:
        """The same in another order of pictures; no boxes are left here, so that each column is there once."""
        starts = np.concatenate(([0], np.cumsum(self.box_counts)))[:-1]
        counts = self.box_counts[order.to_numpy()]
        first = np.concatenate(([0], np.cumsum(counts)))[:-1]
        rows = pa.array(
            np.repeat(starts[order.to_numpy()] - first, counts) + np.arange(counts.sum())
        )
        left = {name: self.boxes[name] for name in self.boxes.column_names}
        self.boxes = self.boxes.schema.empty_table()  # a slice would hold them
        boxes = pa.table({name: left.pop(name).take(rows) for name in list(left)})
        return Library(self.pictures.take(order), boxes)

    def part(self, kept: npt.NDArray[np.bool_]) -> Library:
        owners = np.repeat(kept, self.box_counts)
        return Library(
            self.pictures.filter(pa.array(kept)).combine_chunks(),
            self.boxes.filter(pa.array(owners)).combine_chunks(),
        )

    @property
    def box_counts(self) -> npt.NDArray[np.int64]:
        counts: npt.NDArray[np.int64] = self.pictures["boxes"].to_numpy()
        return counts


@dataclass(frozen=True)
class Version:
    """What is stored of a version."""

    index: pa.Table
    splits: pa.Table
    hashes: pa.Table
    fingerprint: str


def uuids(rng: np.random.Generator, count: int) -> pa.Array:
    """Distinct UUIDs in ascending order."""
    raw = np.sort(
        np.frombuffer(rng.bytes(16 * count), ">u8")
        .reshape(count, 2)
        .view([("a", ">u8"), ("b", ">u8")])
        .ravel(),
        order=["a"],
    )
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    nibbles = np.frombuffer(raw.tobytes(), np.uint8).reshape(count, 16)
    hexed = np.stack([digits[nibbles >> 4], digits[nibbles & 15]], axis=2).reshape(count, 32)
    text = np.full((count, 36), ord("-"), np.uint8)
    for at, (low, high) in zip((0, 9, 14, 19, 24), ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)), strict=True):  # fmt: skip
        text[:, at : at + high - low] = hexed[:, low:high]
    edges = np.arange(0, 36 * (count + 1), 36, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(edges), pa.py_buffer(text.tobytes()))


def hashes(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    """Perceptual hashes: 5 % are near another one, 0.2 % are those of a blank page, the rest are balanced noise."""
    values = rng.integers(0, 2**64, count, dtype=np.uint64)
    twins = rng.permutation(count)[: count // 20]
    others = rng.integers(0, count, len(twins))
    values[twins] = values[others]
    for _ in range(3):
        values[twins] ^= np.uint64(1) << rng.integers(0, 64, len(twins)).astype(np.uint64)
    values[rng.permutation(count)[: count // 500]] = 0
    return values


def make_library(count: int, boxes: float, seed: int) -> Library:
    rng = np.random.default_rng(seed)
    ids = uuids(rng, count)
    phashes = [f"{h:016x}" for h in hashes(rng, count).tolist()]
    names = [
        f"site-{i // 10_000:03}/2026-{i % 10_000 // 1000:02}/{i:08}.jpg"
        for i in rng.permutation(count).tolist()
    ]
    counts = rng.poisson(boxes, count)
    total = int(counts.sum())
    pictures = pa.table(
        {
            "image_id": ids,
            "sha256": pc.binary_join_element_wise(pc.utf8_slice_codeunits(ids, 0, 32), pc.utf8_slice_codeunits(ids, 4, 36), ""),
            "phash": pa.array(phashes),
            "area": pa.array(rng.integers(10_000, 10_000_000, count)),
            "file_name": pa.array(names),
            "boxes": pa.array(counts),
        }
    )  # fmt: skip
    corners = rng.uniform(0, 500, (4, total))
    rows = {
        "annotation_id": uuids(rng, total),
        "image_id": ids.take(pa.array(np.repeat(np.arange(count), counts))),
        "category": pa.array([c.name for c in CLASSES]).take(
            pa.array(rng.choice(len(CLASSES), total, p=ODDS / ODDS.sum()))
        ),
        "bbox": pa.StructArray.from_arrays(
            [pa.array(c) for c in corners], fields=list(schemas.BBOX)
        ),
        "score": pa.nulls(total, pa.float32()),
        "segmentation": pa.nulls(total, schemas.SEGMENTATION),
        "iscrowd": pa.array(np.zeros(total, bool)),
        "text": pa.nulls(total, pa.string()),
        "origin": pa.array(["labels"] * total),
        "origin_ref": pa.array(["labels.json"] * total),
    }
    empty = {f.name: pa.nulls(total, f.type) for f in schemas.ANNOTATIONS}
    return Library(pictures, pa.table(empty | rows, schema=schemas.ANNOTATIONS))


class _Clock:
    """Seconds of steps, and CPU seconds of all threads as `<step>_cpu`."""

    def __init__(self, took: dict[str, float]) -> None:
        self._took = took
        self.start()

    def start(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def lap(self, step: str) -> None:
        """A step is done; the next one begins."""
        self._took[step] = time.perf_counter() - self._begun[0]
        self._took[f"{step}_cpu"] = time.process_time() - self._begun[1]
        self.start()


def curate(library: Library, before: Version | None) -> tuple[Version, Library, dict[str, float]]:
    """Near-duplicates, split and fingerprint, what this was made of, and the seconds of each."""
    took: dict[str, float] = {}
    pictures = library.pictures
    clock = _Clock(took)
    near = find_near_duplicates(
        pictures["image_id"], pictures["phash"], pictures["area"], earlier=before and before.index
    )
    clock.lap("near_duplicates")
    index = near.index
    fixed = Before(before.splits, (), before.hashes) if before else Before()
    with looking_up(pictures["image_id"], fixed) as former:  # as `build_dataset` does it
        groups = group_places(pictures.num_rows, [near_duplicate_bond(pictures, near.table)])
        heads, numbers = numbered(groups)
        names = flat(pictures["image_id"], pa.string()).take(pa.array(heads))
        coded = Library(pictures, with_coded_classes(library.boxes))
        labels = labelling(coded)
        earlier, hash_places = former()
    codes, vocabulary, _ = split_pictures(numbers, names, labels, SHARES, earlier=earlier)
    splits = pa.array(vocabulary).take(pa.array(codes.astype(np.int32)))
    clock.lap("split")

    pictures = dataset_images(pictures, groups, splits)
    order = pc.sort_indices(pictures["file_name"])
    # In the order of the library nobody needs them any more.
    library.boxes = schemas.ANNOTATIONS.empty_table()
    coded.pictures = pictures.append_column("boxes", library.pictures["boxes"])
    made_of = coded.in_order(order)
    coded_splits = codes[order.to_numpy()], vocabulary
    del coded, near, groups, numbers, names, codes, heads, splits, pictures, labels, earlier, former
    pa.default_memory_pool().release_unused()
    clock.start()
    made, print_ = fingerprinted(made_of, before, hash_places[order.to_numpy()], coded_splits)
    clock.lap("fingerprint")
    return (
        Version(index, made_of.pictures.select(["image_id", "split"]), made, print_),
        made_of,
        took,
    )


def fingerprinted(
    dataset: Library, before: Version | None, places: Places | None, splits: Splits | None
) -> tuple[pa.Table, str]:
    """The pictures' hashes and the fingerprint."""
    images = dataset.pictures.drop_columns("boxes")
    starts = np.concatenate(([0], np.cumsum(dataset.box_counts)))
    if splits is None:
        encoded = flat(images["split"], pa.string()).dictionary_encode()
        splits = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    known = before and before.hashes
    return hashed(images, dataset.boxes, splits, CLASSES, {"seed": 0}, known, starts=starts, places=places)  # fmt: skip


def labelling(library: Library) -> Labelling:
    owners = np.repeat(np.arange(library.pictures.num_rows), library.box_counts)
    encoded = flat(library.boxes["category"], CLASS)
    names = encoded.dictionary.to_pylist()
    ranked = sorted(names)
    codes = np.array([ranked.index(n) for n in names], np.int32)
    return Labelling(owners, codes[encoded.indices.to_numpy()], ranked)


def dataset_images(pictures: pa.Table, groups: npt.NDArray[np.int64], splits: pa.Array) -> pa.Table:
    rows = pictures.num_rows
    columns = {
        "image_id": pictures["image_id"],
        "sha256": pictures["sha256"],
        "file_name": pictures["file_name"],
        "width": pa.array(np.full(rows, 640, np.int32)),
        "height": pa.array(np.full(rows, 480, np.int32)),
        "orientation": pa.array(np.ones(rows, np.int8)),
        "format": pa.array(["jpeg"]).take(pa.array(np.zeros(rows, np.int32))),
        "split": splits,
        "group_id": pictures["image_id"].take(pa.array(groups)),
        "labelled": pa.array(np.ones(rows, bool)),
        "locations": pa.nulls(rows, schemas.DATASET_IMAGES.field("locations").type),
    }
    return pa.table(columns, schema=schemas.DATASET_IMAGES)


def moved(before: Version, after: Version) -> int:
    """Pictures of the earlier version that are in another split."""
    places = places_in(before.splits["image_id"], after.splits["image_id"])
    now = after.splits["split"].take(pa.array(places))
    return int(pc.sum(pc.not_equal(before.splits["split"], now)).as_py() or 0)


def one_part(
    pictures: int, boxes: float, share: float, seed: int, part: str, folder: Path
) -> dict[str, Any]:
    """A library anew, or with `share` more pictures on top of what `folder` has of the version before; timed."""
    more = round(pictures * share)
    library = make_library(pictures + more, boxes, seed)
    if part == "anew":
        new = np.zeros(pictures + more, bool)
        new[np.random.default_rng(seed + 1).permutation(pictures + more)[:more]] = True
        library = library.part(~new)
    before = load(folder) if part == "grown" else None
    tables = (library.pictures.nbytes + library.boxes.nbytes) / 2**20
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    version, dataset, took = curate(library, before)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]
    facts: dict[str, Any] = {"took": took, "peak_mib": peak, "tables_mib": tables}
    if before is None:
        save(version, folder)
    else:
        facts["moved"] = moved(before, version)
        hashes, print_ = fingerprinted(dataset, None, None, None)
        near = find_near_duplicates(*(library.pictures[c] for c in ("image_id", "phash", "area")))
        same = hashes.equals(version.hashes), print_ == version.fingerprint, near.index.equals(version.index)  # fmt: skip
        facts["same_as_anew"] = all(same)
    return facts


def save(version: Version, folder: Path) -> None:
    for name in ("index", "splits", "hashes"):
        feather.write_feather(getattr(version, name), folder / name)
    (folder / "fingerprint").write_text(version.fingerprint)


def load(folder: Path) -> Version:
    tables = [
        feather.read_table(folder / n, memory_map=False) for n in ("index", "splits", "hashes")
    ]
    index, splits, hashes = tables
    return Version(index, splits, hashes, (folder / "fingerprint").read_text())


def main() -> int:
    """Print a table and, as the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--boxes", type=float, default=3.0)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        facts = one_part(
            args.pictures, args.boxes, args.share, args.seed, args.one, Path(args.folder)
        )
        sys.stdout.write(json.dumps(facts))
        return 0
    rounds = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append({part: _child(args, part, folder) for part in ("anew", "grown")})
    report(rounds, args.pictures, args.share)
    return 0


def _child(args: argparse.Namespace, part: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", part, "--folder", folder]
    for name in ("pictures", "boxes", "share", "seed"):
        command += [f"--{name}", str(getattr(args, name))]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def report(rounds: list[dict[str, Any]], pictures: int, share: float) -> None:
    """Medians as a table, then JSON."""
    steps = [s for s in rounds[0]["anew"]["took"] if not s.endswith("_cpu")]

    def median(part: str, wanted: Sequence[str]) -> float:
        return float(statistics.median(sum(r[part]["took"][s] for s in wanted) for r in rounds))

    lines = [
        f"{pictures:,} pictures, then {share:.0%} more",
        f"{'':22}{'anew':>9}{'grown':>9}{'ratio':>8}",
    ]
    for name, wanted in (*((s, [s]) for s in steps), ("together", steps)):
        for kind, ends in (("", ""), (" (CPU)", "_cpu")):
            ended = [f"{s}{ends}" for s in wanted]
            anew, grown = median("anew", ended), median("grown", ended)
            lines.append(f"{name + kind:22}{anew:8.2f}s{grown:8.2f}s{grown / anew:8.1%}")
    peaks = {p: max(r[p]["peak_mib"] for r in rounds) for p in ("anew", "grown")}
    tables = max(r["grown"]["tables_mib"] for r in rounds)
    lines.append(
        f"peak {peaks['anew']:,.0f} and {peaks['grown']:,.0f} MiB, of which tables {tables:,.0f} MiB"
    )
    moved_ones = max(r["grown"]["moved"] for r in rounds)
    same = all(r["grown"]["same_as_anew"] for r in rounds)
    lines.append(
        f"pictures moved: {moved_ones}; near-duplicates, hashes and fingerprint as made anew: {same}"
    )
    sys.stdout.write(
        "\n".join(lines) + "\n" + json.dumps({"pictures": pictures, "rounds": rounds}) + "\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
