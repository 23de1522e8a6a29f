"""What a dataset card shows in numbers: distributions, splits, losses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.values import Category, Dataset, Loss

SMALL_AREA: Final = 32**2
LARGE_AREA: Final = 96**2
"""COCO's borders between small, medium and large objects, in square pixels (pycocotools, `areaRng`)."""

SPLIT_ORDER: Final = ("train", "val", "test")
PLACES: Final = 24
"""Cells along each side of the map of where boxes lie."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `share` of the longest one, 0 to 1."""

    label: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its boxes, the pictures that show it, and boxes per split in the order of the splits."""

    index: int
    name: str
    supercategory: str
    boxes: int
    pictures: int
    share: float
    per_split: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One split: pictures, those with boxes, negatives, unlabelled ones, boxes; `share` of all pictures."""

    name: str
    pictures: int
    with_boxes: int
    negatives: int
    unlabelled: int
    boxes: int
    share: float


@dataclass(frozen=True, slots=True)
class LossGroup:
    """Losses of one kind: the first ones, and how many more there are."""

    kind: str
    count: int
    shown: tuple[Loss, ...]
    more: int


def bars(labels: Sequence[str], counts: Sequence[int]) -> list[Bar]:
    """Bars scaled to the longest."""
    longest = max(counts, default=0) or 1
    return [Bar(x, n, n / longest) for x, n in zip(labels, counts, strict=True)]


def split_names(dataset: Dataset) -> tuple[str, ...]:
    """The splits of a dataset: train, val, test, then others by name."""
    there = set(dataset.images["split"].to_pylist())
    usual = [s for s in SPLIT_ORDER if s in there]
    return (*usual, *sorted(str(s) for s in there - set(usual)))


def box_columns(annotations: pa.Table) -> Floats:
    """Boxes [n, 4] as x, y, w, h."""
    boxes = pa.concat_arrays(annotations["bbox"].chunks or [pa.array([], annotations["bbox"].type)])
    columns = [pc.struct_field(boxes, s).to_numpy(zero_copy_only=False) for s in "xywh"]
    return np.stack(columns, axis=1).astype(np.float64)


def class_rows(dataset: Dataset, splits: Sequence[str]) -> list[ClassRow]:
    """All classes in class order, those without a box included."""
    where = dict(
        zip(
            dataset.images["image_id"].to_pylist(), dataset.images["split"].to_pylist(), strict=True
        )
    )
    ids = dataset.annotations["image_id"].to_pylist()
    names = dataset.annotations["category"].to_pylist()
    boxes = Counter(names)
    per_split = Counter((name, where[i]) for i, name in zip(ids, names, strict=True))
    pictures = Counter(name for _, name in set(zip(ids, names, strict=True)))
    longest = max(boxes.values(), default=0) or 1
    return [
        ClassRow(
            index, c.name, c.supercategory, boxes[c.name], pictures[c.name], boxes[c.name] / longest,
            tuple(per_split[c.name, s] for s in splits),
        )
        for index, c in enumerate(dataset.categories)
    ]  # fmt: skip


def split_rows(dataset: Dataset, splits: Sequence[str]) -> list[SplitRow]:
    """What is in each split."""
    boxes = Counter(dataset.annotations["image_id"].to_pylist())
    columns = [dataset.images[c].to_pylist() for c in ("split", "image_id", "labelled")]
    tallies = {s: Counter[str]() for s in splits}
    for split, image_id, labelled in zip(*columns, strict=True):
        kind = "with_boxes" if boxes[image_id] else "negatives" if labelled else "unlabelled"
        tallies[split].update({"pictures": 1, kind: 1, "boxes": boxes[image_id]})
    total = dataset.images.num_rows or 1
    return [
        SplitRow(
            s, t["pictures"], t["with_boxes"], t["negatives"], t["unlabelled"], t["boxes"], t["pictures"] / total
        )
        for s, t in tallies.items()
    ]  # fmt: skip


def area_classes(boxes: Floats) -> list[Bar]:
    """Boxes by COCO's size classes; `share` is of all boxes."""
    areas = boxes[:, 2] * boxes[:, 3]
    counts = np.histogram(areas, [0, SMALL_AREA, LARGE_AREA, np.inf])[0].tolist()
    total = len(boxes) or 1
    labels = ("small, below 32²", "medium, 32² to 96²", "large, above 96²")
    return [Bar(x, n, n / total) for x, n in zip(labels, counts, strict=True)]


def doubling_histogram(sizes: Floats, *, first: int) -> list[Bar]:
    """A histogram of sizes in pixels whose bins double: below `first`, first to 2·first, …; empty ends are cut."""
    if not len(sizes):
        return []
    # Floor of log2 by frexp: exact at powers of two, where a logarithm may fall on either side.
    steps = np.maximum(np.frexp(np.maximum(sizes, 1e-9) / first)[1], 0)
    low, high = int(steps.min()), int(steps.max())
    counts = np.bincount(steps - low, minlength=high - low + 1).tolist()
    labels = [f"< {first}" if k == 0 else f"{first << (k - 1)}" for k in range(low, high + 1)]
    return bars(labels, counts)


def places(dataset: Dataset, boxes: Floats) -> list[tuple[int, int, float]]:
    """Where box centres lie, all pictures laid over each other: (column, row, share of the fullest cell)."""
    if not len(boxes):
        return []
    value_set = dataset.images["image_id"].combine_chunks()
    rows = pc.index_in(dataset.annotations["image_id"], value_set=value_set).to_numpy()
    sizes = np.stack(
        [dataset.images["width"].to_numpy()[rows], dataset.images["height"].to_numpy()[rows]], 1
    )
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) / sizes
    cells = np.clip((centres * PLACES).astype(int), 0, PLACES - 1)
    counts = np.bincount(cells[:, 1] * PLACES + cells[:, 0], minlength=PLACES**2)
    filled = np.flatnonzero(counts).tolist()
    return [(c % PLACES, c // PLACES, float(counts[c] / counts.max())) for c in filled]


def loss_groups(losses: Sequence[Loss], *, shown: int) -> list[LossGroup]:
    """Losses by kind, the most frequent kind first, with the first few of each."""
    ordered = sorted(losses, key=lambda x: (x.kind, x.subject, x.detail))
    groups = [(kind, list(same)) for kind, same in groupby(ordered, key=lambda x: x.kind)]
    return [
        LossGroup(kind, len(same), tuple(same[:shown]), max(0, len(same) - shown))
        for kind, same in sorted(groups, key=lambda g: (-len(g[1]), g[0]))
    ]


def left_out_groups(left_out: pa.Table, *, shown: int) -> list[LossGroup]:
    """Pictures of the library that are not in the dataset, by reason, with the first few of each."""
    columns = (left_out[c].to_pylist() for c in ("reason", "name", "detail"))
    return loss_groups([Loss(*row) for row in zip(*columns, strict=True)], shown=shown)


def class_colors(categories: Sequence[Category]) -> dict[str, str]:
    """A color per class, by index: neighbouring classes lie a golden angle apart on the color wheel."""
    return {
        c.name: f"hsl({(212 + 137.508 * i) % 360:.1f} {85 - 12 * (i % 3)}% {58 + 7 * (i // 3 % 2)}%)"
        for i, c in enumerate(categories)
    }
