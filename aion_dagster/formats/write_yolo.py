"""YOLO in the layout of Ultralytics: labels/<split>/….txt and data.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from aion_dagster.errors import ExportError
from aion_dagster.formats.frame import SPLITS, Frame
from aion_dagster.formats.names import stem
from aion_dagster.formats.options import Written, YoloOptions, left_out_masks
from aion_dagster.formats.outlines import outline
from aion_dagster.formats.text_files import write_text_files
from aion_dagster.values import Category, Dataset, Loss

_BOX_ROW: Final = "%d %.8f %.8f %.8f %.8f\n"
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
    crowd = frame.annotations.column("iscrowd").fill_null(False).to_numpy()
    losses = _dropped(frame, crowd, "a crowd region, which YOLO has no mark for")
    frame = frame.without_annotations(crowd)
    normalized = _normalized(frame)
    vanished = (normalized[2] <= 0) | (normalized[3] <= 0)
    losses += _dropped(frame, vanished, "its width or height is 0 at eight decimals")
    frame, normalized = frame.without_annotations(vanished), normalized[:, ~vanished]
    if options.task == "segment":
        lines, more = _outlines(frame)
    else:
        columns = [frame.category.tolist(), *normalized.tolist()]
        lines = [_BOX_ROW % row for row in zip(*columns, strict=True)]
        more = left_out_masks(_masks(frame), "YOLO's detection labels")
    contents, repeated = _contents(frame, lines)
    paths = (
        f"labels/{split}/{stem(name)}.txt"
        for split, name in zip(frame.splits, frame.names, strict=True)
    )
    write_text_files(folder, paths, contents)
    losses += [*more, *repeated]
    losses += _write_data_yaml(frame, dataset.categories, folder)
    return Written(len(lines) - len(repeated), tuple(losses))


def _normalized(frame: Frame) -> NDArray[np.float64]:
    """(4, n): center x, center y, width, height as fractions, as they read after rounding to eight decimals."""
    x, y, w, h = frame.boxes
    width, height = frame.widths[frame.image], frame.heights[frame.image]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.stack([(x + w / 2) / width, (y + h / 2) / height, w / width, h / height])
    return np.asarray(np.round(np.clip(np.nan_to_num(values), 0.0, 1.0), 8), dtype=np.float64)


def _dropped(frame: Frame, rows: NDArray[np.bool_], reason: str) -> list[Loss]:
    if not rows.any():
        return []
    ids = frame.annotation_ids()
    return [Loss("dropped", str(ids[row]), reason) for row in np.flatnonzero(rows).tolist()]


def _masks(frame: Frame) -> int:
    return int(pc.sum(frame.annotations.column("segmentation").is_valid()).as_py() or 0)


def _contents(frame: Frame, lines: list[str]) -> tuple[list[str], list[Loss]]:
    """The text of every label file without repeated rows, which make some loaders drop the picture."""
    contents, losses = [], []
    starts = frame.starts.tolist()
    for start, end in pairwise(starts):
        rows = lines[start:end]
        unique = dict.fromkeys(rows)
        contents.append("".join(unique))
        if len(unique) < len(rows):
            losses += _repeated(frame, lines, start, end)
    return contents, losses


def _repeated(frame: Frame, lines: list[str], start: int, end: int) -> list[Loss]:
    ids = frame.annotations.column("annotation_id").slice(start, end - start).to_pylist()
    first: dict[str, str] = {}
    losses = []
    for annotation_id, line in zip(ids, lines[start:end], strict=True):
        if first.setdefault(line, annotation_id) != annotation_id:
            losses.append(Loss("deduplicated", str(annotation_id), f"same row as {first[line]}"))
    return losses


def _outlines(frame: Frame) -> tuple[list[str], Sequence[Loss]]:
    """A row of class and polygon for every annotation."""
    lines, losses = [], []
    x, y, w, h = (side.tolist() for side in frame.boxes)
    ids = frame.annotation_ids()
    masks = frame.annotations.column("segmentation").to_pylist()
    for row, (category, image) in enumerate(
        zip(frame.category.tolist(), frame.image.tolist(), strict=True)
    ):
        ring, change = outline(masks[row], (x[row], y[row], w[row], h[row]))
        if change:
            losses.append(Loss("converted", str(ids[row]), change))
        size = (int(frame.widths[image]), int(frame.heights[image]))
        numbers = (min(max(v / size[i % 2], 0.0), 1.0) for i, v in enumerate(ring))
        lines.append(f"{category} " + " ".join(f"{v:.8f}" for v in numbers) + "\n")
    return lines, losses


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
