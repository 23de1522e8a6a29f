"""A dataset as its writers walk it: pictures as columns, annotations a part at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.errors import ExportError
from aion_dagster.formats.annotation_rows import AnnotationRows, Lookup, Places, sorted_rows
from aion_dagster.formats.parts import Integers, Part, read_parts
from aion_dagster.values import Category, Dataset, Loss

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class Frame:
    """Pictures in the dataset's order, with their annotations to be read in parts.

    `names` are the pictures' names in this export; `numbers` count from 1 over the whole dataset. `row_of` is the row
    here of each of the dataset's pictures, -1 of those that are left out. `seen` counts what a reading of the parts met
    beside boxes and classes; `losses` are the rows that it could not use: both are complete after a reading.
    """

    images: pa.Table
    rows: AnnotationRows
    categories: tuple[Category, ...]
    names: list[str]
    splits: list[str]
    widths: Integers
    heights: Integers
    numbers: Integers
    row_of: Places
    ids: Lookup
    scales: NDArray[np.float64] | None = None
    losses: list[Loss] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def used_splits(self) -> tuple[str, ...]:
        """The splits that hold a picture, in the order train, val, test."""
        present = set(self.splits)
        return tuple(split for split in SPLITS if split in present)

    def annotations_per_picture(self) -> list[int]:
        """How many annotations each picture has, those included that turn out to be no boxes."""
        counts = np.zeros(len(self.ids) + 1, dtype=np.int64)
        for table in self.rows.batches(["image_id"]):
            rows = self.ids.places(table.column("image_id"))
            counts += np.bincount(rows + 1, minlength=len(counts))
        return [int(n) for n in counts[1:][self.row_of >= 0]]

    def only_classes(self) -> Places | None:
        """The class of each picture, where every picture has annotations of exactly one class; else None."""
        classes = Lookup([c.name for c in self.categories])
        lowest = np.full(len(self.names), len(self.categories), dtype=np.int32)
        highest = np.full(len(self.names), -1, dtype=np.int32)
        for table in self.rows.batches(["image_id", "category"]):
            image = self.ids.places(table.column("image_id"))
            row = np.where(image >= 0, self.row_of[image], -1) if len(self.row_of) else image
            category = classes.places(table.column("category"))
            known = (row >= 0) & (category >= 0)
            np.minimum.at(lowest, row[known], category[known])
            np.maximum.at(highest, row[known], category[known])
        return lowest if len(lowest) and (lowest == highest).all() else None

    def only(self, names: Sequence[str | None], sizes: Sequence[tuple[int, int]]) -> Frame:
        """The frame with new picture names and sizes, without the pictures whose name is None."""
        kept = np.array([name is not None for name in names], dtype=bool)
        new = np.array(sizes, dtype=np.int64).reshape(-1, 2)[kept]
        old = np.stack([self.widths, self.heights], axis=1)[kept]
        scales = new / old if self.scales is None else new / old * self.scales[kept]
        moved = np.full(len(self.row_of), -1, dtype=np.int32)
        moved[np.flatnonzero(self.row_of >= 0)[kept]] = np.arange(int(kept.sum()), dtype=np.int32)
        return replace(
            self,
            images=self.images if kept.all() else self.images.filter(pa.array(kept)),
            names=[n for n in names if n is not None],
            splits=[s for s, k in zip(self.splits, kept.tolist(), strict=True) if k],
            widths=new[:, 0],
            heights=new[:, 1],
            numbers=self.numbers[kept],
            row_of=moved,
            scales=None if (scales == 1).all() else scales,
        )

    def parts(self) -> Iterator[Part]:
        """All pictures in order, some at a time, each with all its annotations that have a box.

        Raises:
            ExportError: the annotations are not in the order of the pictures.
        """
        self.losses.clear()
        self.seen.clear()
        return read_parts(self)

    def captions(self) -> Iterator[tuple[Integers, list[str]]]:
        """The captions among the annotations: rows of pictures here, and texts."""
        for table in self.rows.batches(["image_id", "text", "origin"]):
            chosen = table.filter(pc.equal(table.column("origin").cast(pa.string()), "captions"))
            rows = self.row_of[self.ids.places(chosen.column("image_id"))]
            texts = chosen.column("text").to_pylist()
            kept = [
                i
                for i, (row, t) in enumerate(zip(rows.tolist(), texts, strict=True))
                if row >= 0 and t
            ]
            yield rows[kept].astype(np.int64), [texts[i] for i in kept]


def arranged(dataset: Dataset, rows: AnnotationRows | None = None) -> Frame:
    """The dataset as a frame; annotations come from `rows`, by default from the dataset itself.

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
    ids = Lookup(images.column("image_id").to_pylist())
    return Frame(
        images=images,
        rows=sorted_rows(dataset.annotations, ids) if rows is None else rows,
        categories=dataset.categories,
        names=images.column("file_name").to_pylist(),
        splits=splits,
        widths=_integers(images.column("width")),
        heights=_integers(images.column("height")),
        numbers=np.arange(1, images.num_rows + 1),
        row_of=np.arange(images.num_rows, dtype=np.int32),
        ids=ids,
    )


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.fill_null(0).to_numpy(), dtype=np.int64)
