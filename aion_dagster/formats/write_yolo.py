"""YOLO in the layout of Ultralytics: labels/<split>/….txt and data.yaml."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray

from aion_dagster.errors import ExportError
from aion_dagster.formats.frame import SPLITS, Frame
from aion_dagster.formats.names import stem
from aion_dagster.formats.options import Written, YoloOptions, left_out
from aion_dagster.formats.outlines import outline
from aion_dagster.formats.parts import Part
from aion_dagster.formats.rows import Rows, fractions
from aion_dagster.formats.text_files import write_text_files
from aion_dagster.values import Category, Dataset, Loss

_UNIT: Final = 10**8
"""Eight decimals: 2e-5 pixels at 4,000 pixels; four would be 0.2."""


def write_yolo(frame: Frame, dataset: Dataset, folder: Path, options: YoloOptions) -> Written:
    """Write one label file per picture, an empty one where it has no objects, and data.yaml.

    Raises:
        ExportError: no picture is left; a YOLO dataset needs one.
    """
    if not frame.names:
        raise ExportError(
            f"dataset {dataset.name!r} has no picture left to export as YOLO, which needs a train "
            "and a val set; see its loss report"
        )
    annotations = 0
    losses: list[Loss] = []
    for part in frame.parts():
        contents, count, lost = _labels(part, options)
        names = zip(part.splits, part.names, strict=True)
        paths = (f"labels/{split}/{stem(name)}.txt" for split, name in names)
        write_text_files(folder, paths, contents)
        annotations += count
        losses += lost
    kept = ("segmentation",) if options.task == "segment" else ()
    losses += left_out(frame.seen, "YOLO's labels", but=kept)
    losses += _write_data_yaml(frame, dataset.categories, folder)
    return Written(annotations, tuple(losses))


def _labels(
    frame: Part, options: YoloOptions
) -> tuple[Sequence[bytes | memoryview], int, list[Loss]]:
    """The content of every label file, how many rows they have, and what was lost."""
    crowds = frame.crowds()
    losses = _dropped(frame, crowds, "a crowd region, which YOLO has no mark for")
    frame = frame.without_annotations(crowds)
    fractions_of_box = _hundred_millionths(frame)
    vanished = (fractions_of_box[:, 2] <= 0) | (fractions_of_box[:, 3] <= 0)
    losses += _dropped(frame, vanished, "its width or height is 0 at eight decimals")
    frame, fractions_of_box = frame.without_annotations(vanished), fractions_of_box[~vanished]
    if options.task == "detect":
        repeated = _repeated_boxes(frame, fractions_of_box)
        rows = fractions(frame.category.astype(np.int64), fractions_of_box)
    else:
        rows, changed = _outlines(frame)
        losses += changed
        lines = zip(frame.image.tolist(), rows.parts(np.arange(len(rows.ends))), strict=True)
        repeated = _repeated([(image, bytes(line)) for image, line in lines])
    if not repeated:
        return rows.parts(frame.starts), len(frame.image), losses
    ids = frame.annotation_ids(np.arange(len(frame.image)))
    losses += [
        Loss("deduplicated", ids[row], f"same row as {ids[first]}")
        for row, first in repeated.items()
    ]
    return _without(frame, rows, repeated), len(frame.image) - len(repeated), losses


def _hundred_millionths(frame: Part) -> NDArray[np.int64]:
    """(n, 4): center x, center y, width, height as fractions in hundred-millionths."""
    x, y, w, h = frame.boxes
    width, height = frame.widths[frame.image], frame.heights[frame.image]
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    values = np.clip(np.nan_to_num(np.stack(sides, axis=1)), 0.0, 1.0)
    return np.asarray(np.rint(values * _UNIT), dtype=np.int64)


def _dropped(frame: Part, rows: NDArray[np.bool_], reason: str) -> list[Loss]:
    ids = frame.annotation_ids(np.flatnonzero(rows)) if rows.any() else []
    return [Loss("dropped", i, reason) for i in ids]


def _repeated_boxes(frame: Part, values: NDArray[np.int64]) -> dict[int, int]:
    """Rows that repeat an earlier one of their picture, and which; loaders drop pictures that have such."""
    columns = np.column_stack([frame.image, frame.category, values]).astype(np.uint64)
    mixed = np.zeros(len(columns), dtype=np.uint64)
    for column in columns.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed, kind="stable")
    equal = mixed[order][1:] == mixed[order][:-1]
    if not equal.any():
        return {}
    suspects = np.sort(np.union1d(order[1:][equal], order[:-1][equal]))
    found = _repeated([tuple(row) for row in columns[suspects].tolist()])
    return {int(suspects[row]): int(suspects[first]) for row, first in found.items()}


def _repeated(rows: Sequence[Hashable]) -> dict[int, int]:
    first: dict[Hashable, int] = {}
    places = ((i, first.setdefault(row, i)) for i, row in enumerate(rows))
    return {i: place for i, place in places if place != i}


def _without(frame: Part, rows: Rows, repeated: Mapping[int, int]) -> list[bytes]:
    return [
        b"".join(rows.between(i, i + 1) for i in range(start, end) if i not in repeated)
        for start, end in pairwise(frame.starts.tolist())
    ]


def _outlines(frame: Part) -> tuple[Rows, list[Loss]]:
    """A row of class and polygon for every annotation."""
    lines, losses = [], []
    boxes = zip(*(side.tolist() for side in frame.boxes), strict=True)
    masks = frame.annotations.column("segmentation").to_pylist()
    sizes = np.stack([frame.widths, frame.heights], axis=1)[frame.image].tolist()
    columns = (frame.category.tolist(), masks, boxes, sizes)
    for row, (category, mask, box, size) in enumerate(zip(*columns, strict=True)):
        ring, change = outline(mask, box)
        if change:
            (own,) = frame.annotation_ids(np.array([row]))
            losses.append(Loss("converted", own, change))
        numbers = (min(max(v / size[i % 2], 0.0), 1.0) for i, v in enumerate(ring))
        lines.append(f"{category} {' '.join(f'{v:.8f}' for v in numbers)}\n".encode())
    ends = np.cumsum([0, *map(len, lines)])
    return Rows(memoryview(b"".join(lines)), ends), losses


def _write_data_yaml(
    frame: Frame, categories: Sequence[Category], folder: Path
) -> tuple[Loss, ...]:
    """Without a `path` key, so that it resolves to the file's own folder; names quoted, or `no` becomes a bool."""
    used = frame.used_splits()
    place = {
        split: f"images/{split if split in used else _stand_in(split, used)}"
        for split in SPLITS[:2]
    }
    if "test" in used:
        place["test"] = "images/test"
    rows = [f"{split}: {where}" for split, where in place.items()]
    rows += [f"nc: {len(categories)}", "names:" if categories else "names: {}"]
    for i, category in enumerate(categories):
        quoted = yaml.safe_dump(
            category.name, default_style='"', allow_unicode=True, width=float("inf")
        )
        rows.append(f"  {i}: {quoted.strip()}")
    with (folder / "data.yaml").open("x", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(rows) + "\n")
    return tuple(
        Loss("split", split, f"the dataset has no {split} pictures; {split} repeats {where[7:]}")
        for split, where in place.items()
        if split not in used
    )


def _stand_in(split: str, used: Sequence[str]) -> str:
    """The split that stands in for a missing one: train and val for each other, test for both."""
    other = "train" if split == "val" else "val"
    return other if other in used else used[0]
