"""Successive pictures of a dataset with their annotations: what writers get at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.errors import ExportError
from aion_dagster.formats.annotation_rows import Lookup, Places
from aion_dagster.formats.boxes import Boxes, box_columns
from aion_dagster.formats.scaling import scaled_annotations
from aion_dagster.values import Loss

if TYPE_CHECKING:
    from aion_dagster.formats.frame import Frame

_PICTURES_AT_ONCE: Final = 2048
_COLUMNS: Final = (
    "annotation_id", "image_id", "category", "bbox", "score", "segmentation", "iscrowd", "text",
    "origin", "keypoints", "attributes",
)  # fmt: skip
_EXTRAS: Final = ("score", "segmentation", "text", "keypoints", "attributes")
"""What not every format has a place for."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Successive pictures and their annotations.

    `images` and `annotations` are the dataset's rows. `numbers` and `annotation_numbers` count from 1 over the whole
    dataset, so ids are the same in every split and whichever pictures are missing. `image` and `category` say for
    every annotation the row of its picture in this part and the index of its class; the annotations of picture i are
    `starts[i]:starts[i + 1]`.
    """

    images: pa.Table
    annotations: pa.Table
    names: Sequence[str]
    splits: Sequence[str]
    widths: Integers
    heights: Integers
    numbers: Integers
    annotation_numbers: Integers
    image: Places
    category: Places
    boxes: Boxes

    @property
    def starts(self) -> Integers:
        """Where each picture's annotations begin, and the end."""
        return np.searchsorted(self.image, np.arange(len(self.names) + 1)).astype(np.int64)

    def annotation_ids(self, rows: NDArray[np.integer[Any]]) -> list[str]:
        """The dataset's ids of these annotations."""
        ids = self.annotations.column("annotation_id").take(pa.array(rows)).to_pylist()
        return [str(i) for i in ids]

    def crowds(self) -> NDArray[np.bool_]:
        """Which annotations are crowd regions."""
        column = self.annotations.column("iscrowd")
        crowd: NDArray[np.bool_] = column.fill_null(False).to_numpy()
        return crowd

    def without_annotations(self, dropped: NDArray[np.bool_]) -> Part:
        """The part without the annotations where `dropped` is True."""
        return self.selected(np.flatnonzero(~dropped)) if dropped.any() else self

    def selected(self, rows: NDArray[np.integer[Any]]) -> Part:
        """The part with these annotations only."""
        return replace(
            self,
            annotations=self.annotations.take(pa.array(rows)),
            annotation_numbers=self.annotation_numbers[rows],
            image=self.image[rows],
            category=self.category[rows],
            boxes=Boxes(*(side[rows] for side in self.boxes)),
        )

    def of_split(self, split: str) -> Part:
        """The pictures of a split, and their annotations."""
        kept = np.array([own == split for own in self.splits], dtype=bool)
        if kept.all():
            return self
        rows = np.flatnonzero(kept[self.image])
        moved = (np.cumsum(kept) - 1).astype(np.int32)
        part = self.selected(rows)
        return replace(
            part,
            images=self.images.filter(pa.array(kept)),
            names=[n for n, k in zip(self.names, kept.tolist(), strict=True) if k],
            splits=[split] * int(kept.sum()),
            widths=self.widths[kept],
            heights=self.heights[kept],
            numbers=self.numbers[kept],
            image=moved[part.image],
        )


def read_parts(frame: Frame) -> Iterator[Part]:
    """All pictures of a frame in order, some at a time, each with all its annotations that have a box.

    Raises:
        ExportError: the annotations are not in the order of the pictures.
    """
    reader = _Reader(frame)
    classes = Lookup([c.name for c in frame.categories])
    for table in frame.rows.batches(_COLUMNS):
        yield from reader.take(table, classes)
    yield from reader.rest()


class _Reader:
    """Cuts a stream of annotations where one picture ends and the next begins."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._next = 0
        self._read = 0
        self._last = -1
        self._held: list[_Usable] = []

    def take(self, table: pa.Table, classes: Lookup) -> Iterator[Part]:
        frame = self._frame
        image = frame.ids.places(table.column("image_id"))
        known = image[image >= 0]
        if len(known) and ((known[1:] < known[:-1]).any() or known[0] < self._last):
            raise ExportError(
                "the annotations are not in the order of the pictures: write the dataset again"
            )
        self._last = int(known[-1]) if len(known) else self._last
        numbers = np.arange(self._read + 1, self._read + table.num_rows + 1)
        self._read += table.num_rows
        usable = _usable(frame, table, image, classes.places(table.column("category")), numbers)
        if not len(usable.row):
            return
        self._held.append(usable)
        end = int(usable.row[-1])
        if end > self._next:
            yield from self._until(end)

    def rest(self) -> Iterator[Part]:
        """What is left; one part without pictures where there are none."""
        count = len(self._frame.names)
        if count:
            yield from self._until(count)
        else:
            yield _part(self._frame, slice(0, 0), _Usable.joined(self._held, self._frame))

    def _until(self, end: int) -> Iterator[Part]:
        """The pictures before row `end`; their annotations have all been read."""
        whole = _Usable.joined(self._held, self._frame)
        cut = int(np.searchsorted(whole.row, end))
        for start in range(self._next, end, _PICTURES_AT_ONCE):
            stop = min(start + _PICTURES_AT_ONCE, end)
            a, b = np.searchsorted(whole.row, [start, stop]).tolist()
            yield _part(self._frame, slice(start, stop), whole.between(a, b))
        self._held = [whole.between(cut, len(whole.row))]
        self._next = end


@dataclass(frozen=True)
class _Usable:
    """Annotations that a format can hold: their picture's row, their class, their number."""

    table: pa.Table
    row: Places
    category: Places
    number: Integers

    @classmethod
    def joined(cls, several: Sequence[_Usable], frame: Frame) -> _Usable:
        if len(several) == 1:
            return several[0]
        if not several:
            nothing = next(frame.rows.batches(_COLUMNS), None)
            table = pa.table({}) if nothing is None else nothing.slice(0, 0)
            none = np.zeros(0, dtype=np.int32)
            return cls(table, none, none, np.zeros(0, dtype=np.int64))
        return cls(
            pa.concat_tables([u.table for u in several]),
            np.concatenate([u.row for u in several]),
            np.concatenate([u.category for u in several]),
            np.concatenate([u.number for u in several]),
        )

    def between(self, start: int, end: int) -> _Usable:
        cut = slice(start, end)
        table = self.table.slice(start, end - start)
        return _Usable(table, self.row[cut], self.category[cut], self.number[cut])


def _part(frame: Frame, pictures: slice, own: _Usable) -> Part:
    row = own.row - np.int32(pictures.start)
    table, boxes = own.table, box_columns(own.table)
    if frame.scales is not None:
        table, boxes = scaled_annotations(table, boxes, frame.scales[own.row])
    return Part(
        images=frame.images.slice(pictures.start, pictures.stop - pictures.start),
        annotations=table,
        names=frame.names[pictures],
        splits=frame.splits[pictures],
        widths=frame.widths[pictures],
        heights=frame.heights[pictures],
        numbers=frame.numbers[pictures],
        annotation_numbers=own.number,
        image=row,
        category=own.category,
        boxes=boxes,
    )


def _usable(
    frame: Frame, table: pa.Table, image: Places, category: Places, numbers: Integers
) -> _Usable:
    """The rows that have a picture here, a class and a box; a loss for each that has not."""
    row = np.where(image >= 0, frame.row_of[image], np.int32(-1)) if len(frame.row_of) else image
    about_pictures = _about_pictures(frame, table, row)
    x, y, w, h = box_columns(table)
    no_box = ~(
        np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & np.isfinite(h) & (w > 0) & (h > 0)
    )
    reasons = (
        (image < 0, "its picture is not in the dataset"),
        (category < 0, "its category is not in the class list"),
        (no_box, "its box has no width or height, or is not finite"),
    )
    # Those of pictures that this export leaves out are counted with the picture.
    dropped = about_pictures | ((image >= 0) & (row < 0))
    for wrong, reason in reasons:
        found = np.flatnonzero(wrong & ~dropped)
        if len(found):
            ids = table.column("annotation_id").take(pa.array(found)).to_pylist()
            frame.losses.extend(Loss("dropped", str(i), reason) for i in ids)
            dropped[found] = True
    if dropped.any():
        kept = np.flatnonzero(~dropped)
        table = table.take(pa.array(kept))
        row, category, numbers = row[kept], category[kept], numbers[kept]
    for name in _EXTRAS:
        column = table.column(name)
        frame.seen[name] += len(column) - column.null_count
    return _Usable(table, row, category, numbers)


def _about_pictures(frame: Frame, table: pa.Table, row: Places) -> NDArray[np.bool_]:
    """Captions and tags: they are about a whole picture and have no box."""
    found = np.zeros(table.num_rows, dtype=bool)
    origin = table.column("origin")
    for kind in ("captions", "tags"):
        own = pc.equal(origin.cast(pa.string()), kind).fill_null(False)
        if pc.any(own).as_py():
            mask = own.to_numpy()
            frame.seen[kind] += int((mask & (row >= 0)).sum())
            found |= mask
    return found
