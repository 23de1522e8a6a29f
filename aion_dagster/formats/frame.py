"""A dataset as columns in the order in which every writer walks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.errors import ExportError
from aion_dagster.formats.boxes import Boxes, box_columns
from aion_dagster.values import Dataset, Loss

SPLITS: Final = ("train", "val", "test")

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Pictures in the dataset's order, and their annotations in the order of the pictures.

    `images` and `annotations` are the dataset's rows. `names` are the pictures' names in this export; `numbers` and
    `annotation_numbers` count from 1 over the whole dataset, so ids are the same in every split and whichever
    pictures are missing. `image` and `category` say for every annotation the row of its picture and the index of its
    class; the annotations of picture i are `starts[i]:starts[i + 1]`.
    """

    images: pa.Table
    annotations: pa.Table
    names: list[str]
    splits: list[str]
    widths: Integers
    heights: Integers
    numbers: Integers
    annotation_numbers: Integers
    image: Integers
    category: Integers
    boxes: Boxes
    starts: Integers

    def used_splits(self) -> tuple[str, ...]:
        """The splits that hold a picture, in the order train, val, test."""
        present = set(self.splits)
        return tuple(split for split in SPLITS if split in present)

    def annotation_ids(self) -> list[str]:
        """The dataset's id of every annotation."""
        ids: list[str] = self.annotations.column("annotation_id").to_pylist()
        return ids

    def only(self, names: Sequence[str | None]) -> Frame:
        """The frame with new picture names, without the pictures whose name is None and their annotations."""
        kept = np.array([name is not None for name in names], dtype=bool)
        if kept.all():
            return replace(self, names=[n for n in names if n is not None])
        rows = np.flatnonzero(kept[self.image]) if len(self.image) else self.image
        moved = np.cumsum(kept) - 1
        return replace(
            self._selected(rows),
            images=self.images.filter(pa.array(kept)),
            names=[n for n in names if n is not None],
            splits=[s for s, k in zip(self.splits, kept.tolist(), strict=True) if k],
            widths=self.widths[kept],
            heights=self.heights[kept],
            numbers=self.numbers[kept],
            image=moved[self.image[rows]],
            starts=_starts(moved[self.image[rows]], int(kept.sum())),
        )

    def without_annotations(self, dropped: NDArray[np.bool_]) -> Frame:
        """The frame without the annotations where `dropped` is True."""
        if not dropped.any():
            return self
        return self._selected(np.flatnonzero(~dropped))

    def _selected(self, rows: Integers) -> Frame:
        return replace(
            self,
            annotations=self.annotations.take(pa.array(rows)),
            annotation_numbers=self.annotation_numbers[rows],
            image=self.image[rows],
            category=self.category[rows],
            boxes=Boxes(*(side[rows] for side in self.boxes)),
            starts=_starts(self.image[rows], len(self.names)),
        )


def arranged(dataset: Dataset) -> tuple[Frame, list[Loss]]:
    """The dataset as a frame, and a loss for each annotation that no format can hold.

    Raises:
        ExportError: a split that is not train, val or test.
    """
    images = dataset.images
    splits = [split or "train" for split in images.column("split").to_pylist()]
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ExportError(
            f"dataset {dataset.name!r}: split {unknown[0]!r} is not one of {', '.join(SPLITS)}; "
            "rename it in the dataset's settings"
        )
    image = _index(dataset.annotations.column("image_id"), images.column("image_id"))
    order = np.argsort(image, kind="stable")
    annotations = dataset.annotations.take(pa.array(order))
    classes = pa.chunked_array([pa.array([c.name for c in dataset.categories], pa.string())])
    frame = Frame(
        images=images,
        annotations=annotations,
        names=images.column("file_name").to_pylist(),
        splits=splits,
        widths=_integers(images.column("width")),
        heights=_integers(images.column("height")),
        numbers=np.arange(1, images.num_rows + 1),
        annotation_numbers=np.arange(1, annotations.num_rows + 1),
        image=image[order],
        category=_index(annotations.column("category"), classes),
        boxes=box_columns(annotations),
        starts=np.zeros(images.num_rows + 1, dtype=np.int64),
    )
    dropped, losses = _unwritable(frame)
    if dropped.any():
        return frame.without_annotations(dropped), losses
    return replace(frame, starts=_starts(frame.image, images.num_rows)), losses


def _unwritable(frame: Frame) -> tuple[NDArray[np.bool_], list[Loss]]:
    x, y, w, h = frame.boxes
    no_box = ~(
        np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h) & (w > 0) & (h > 0)
    )
    reasons = (
        (frame.image < 0, "its picture is not in the dataset"),
        (frame.category < 0, "its category is not in the class list"),
        (no_box, "its box has no width or height, or is not finite"),
    )
    dropped = np.zeros(len(x), dtype=bool)
    losses = []
    for wrong, reason in reasons:
        rows = np.flatnonzero(wrong & ~dropped)
        if len(rows):
            ids = frame.annotations.column("annotation_id").take(pa.array(rows)).to_pylist()
            losses += [Loss("dropped", str(i), reason) for i in ids]
            dropped[rows] = True
    return dropped, losses


def _index(values: pa.ChunkedArray, among: pa.ChunkedArray) -> Integers:
    found = pc.index_in(values, among.combine_chunks()).fill_null(-1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.fill_null(0).to_numpy(), dtype=np.int64)


def _starts(image: Integers, pictures: int) -> Integers:
    return np.searchsorted(image, np.arange(pictures + 1)).astype(np.int64)
