"""A dataset into a folder as COCO, YOLO, Pascal VOC or CSV, with a loss report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aion_dagster.errors import ExportError
from aion_dagster.formats.counts import ExportCounts, count_export
from aion_dagster.formats.frame import Frame, arranged
from aion_dagster.formats.options import (
    CocoOptions,
    CsvOptions,
    Options,
    VocOptions,
    Written,
    YoloOptions,
)
from aion_dagster.formats.pictures import (
    PictureFile,
    PictureRow,
    PictureSource,
    place_picture,
)
from aion_dagster.formats.report import write_report
from aion_dagster.formats.write_coco import write_coco
from aion_dagster.formats.write_csv import write_csv
from aion_dagster.formats.write_voc import write_voc
from aion_dagster.formats.write_yolo import write_yolo
from aion_dagster.values import Dataset, Loss

__all__ = [
    "FORMATS",
    "CocoOptions",
    "CsvOptions",
    "ExportCounts",
    "ExportReport",
    "Options",
    "PictureFile",
    "PictureSource",
    "VocOptions",
    "YoloOptions",
    "count_export",
    "write_export",
]

FORMATS: Final[dict[str, type[Options]]] = {
    "coco": CocoOptions,
    "yolo": YoloOptions,
    "voc": VocOptions,
    "csv": CsvOptions,
}
"""Format name → the class of its options."""


@dataclass(frozen=True)
class ExportReport:
    """What stands on disk (`splits`: pictures by split), and what this export lost beyond what the dataset had."""

    format: str
    images: int
    annotations: int
    categories: int
    splits: Mapping[str, int]
    losses: tuple[Loss, ...]


def _no_progress(pictures: int) -> None:
    """Nobody watches."""


def write_export(
    format: str,  # noqa: A002 - the word that users know
    dataset: Dataset,
    folder: Path,
    pictures: PictureSource,
    options: Options | None = None,
    progress: Callable[[int], None] = _no_progress,
) -> ExportReport:
    """Write a dataset into an existing empty folder; the caller swaps it into place.

    The same dataset and options give the same bytes. A picture that cannot be had is left out with its boxes and
    reported; everything else is written.

    Args:
        format: coco, yolo, voc or csv.
        dataset: what to write.
        folder: an existing empty folder.
        pictures: where the bytes of pictures come from; asked one picture at a time.
        options: of the class that belongs to the format; None means its defaults.
        progress: called with the number of pictures done since the last call.

    Raises:
        ExportError: unknown format, options of another format, a folder that is not empty, nothing to write where
            the format needs a picture, or a disk that does not take it.
    """
    chosen = _checked(format, folder, options)
    frame, losses = arranged(dataset)
    try:
        if not isinstance(chosen, CsvOptions):
            names, lost = _place(frame, pictures, folder, chosen, progress)
            frame = frame.only(names)
            losses += lost
        else:
            progress(len(frame.names))
        written = _write(frame, dataset, folder, chosen)
        report = ExportReport(
            format=format,
            images=len(frame.names),
            annotations=written.annotations,
            categories=len(dataset.categories),
            splits={split: Counter(frame.splits)[split] for split in frame.used_splits()},
            losses=(*losses, *written.losses),
        )
        counts = ExportCounts(report.images, report.annotations, report.categories, report.splits)
        write_report(format, dataset, folder, chosen, counts, report.losses)
    except OSError as error:
        raise ExportError(f"cannot write {format} of dataset {dataset.name!r}: {error}") from error
    return report


def _checked(name: str, folder: Path, options: Options | None) -> Options:
    if name not in FORMATS:
        raise ExportError(f"unknown export format {name!r}; known are {', '.join(FORMATS)}")
    chosen = FORMATS[name]() if options is None else options
    if not isinstance(chosen, FORMATS[name]):
        raise ExportError(f"{type(chosen).__name__} are no options of the format {name!r}")
    if not folder.is_dir() or any(folder.iterdir()):
        raise ExportError(f"{folder} is not an existing empty folder; an export needs one")
    return chosen


def _write(frame: Frame, dataset: Dataset, folder: Path, options: Options) -> Written:
    if isinstance(options, CocoOptions):
        return write_coco(frame, dataset, folder, options)
    if isinstance(options, YoloOptions):
        return write_yolo(frame, dataset, folder, options)
    if isinstance(options, VocOptions):
        return write_voc(frame, dataset, folder, options)
    return write_csv(frame, dataset, folder, options)


def _place(
    frame: Frame,
    pictures: PictureSource,
    folder: Path,
    options: Options,
    progress: Callable[[int], None],
) -> tuple[list[str | None], list[Loss]]:
    """Every picture's name in the export, None where it was left out, and the losses."""
    rules = options.rules()
    names: list[str | None] = []
    losses: list[Loss] = []
    boxes = (frame.starts[1:] - frame.starts[:-1]).tolist()
    for split, row, count in zip(frame.splits, _rows(frame), boxes, strict=True):
        root = (
            folder / "JPEGImages" if isinstance(options, VocOptions) else folder / "images" / split
        )
        placed = place_picture(row, pictures, root, rules)
        names.append(placed.name)
        losses += _with_boxes(placed.losses, count) if placed.name is None else placed.losses
        progress(1)
    return names, losses


def _with_boxes(losses: tuple[Loss, ...], boxes: int) -> list[Loss]:
    return [Loss(x.kind, x.subject, f"{x.detail}; boxes left out with it: {boxes}") for x in losses]


def _rows(frame: Frame) -> list[PictureRow]:
    columns = (
        frame.images.column("image_id").to_pylist(),
        frame.names,
        frame.widths.tolist(),
        frame.heights.tolist(),
        frame.images.column("orientation").fill_null(1).to_pylist(),
    )
    return [PictureRow(*values) for values in zip(*columns, strict=True)]
