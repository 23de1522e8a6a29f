"""A dataset into a folder in one of the formats, with a loss report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aion_dagster.errors import ExportError
from aion_dagster.formats.annotation_rows import AnnotationRows
from aion_dagster.formats.counts import ExportCounts, count_export
from aion_dagster.formats.frame import Frame, arranged
from aion_dagster.formats.options import (
    CocoOptions,
    CsvOptions,
    ImagefolderOptions,
    Options,
    ParquetOptions,
    VocOptions,
    WebdatasetOptions,
    Written,
    YoloOptions,
)
from aion_dagster.formats.picture_list import previous_pictures
from aion_dagster.formats.pictures import PictureFile, PictureSource
from aion_dagster.formats.placing import place_pictures
from aion_dagster.formats.report import write_report
from aion_dagster.formats.write_captions import write_captions
from aion_dagster.formats.write_coco import write_coco
from aion_dagster.formats.write_csv import write_csv
from aion_dagster.formats.write_imagefolder import write_imagefolder
from aion_dagster.formats.write_parquet import write_parquet
from aion_dagster.formats.write_voc import write_voc
from aion_dagster.formats.write_webdataset import write_webdataset
from aion_dagster.formats.write_yolo import write_yolo
from aion_dagster.values import Dataset, Loss

__all__ = [
    "FORMATS",
    "CocoOptions",
    "CsvOptions",
    "ExportCounts",
    "ExportReport",
    "ImagefolderOptions",
    "Options",
    "ParquetOptions",
    "PictureFile",
    "PictureSource",
    "VocOptions",
    "WebdatasetOptions",
    "YoloOptions",
    "count_export",
    "write_export",
]

FORMATS: Final[dict[str, type[Options]]] = {
    "coco": CocoOptions,
    "yolo": YoloOptions,
    "voc": VocOptions,
    "csv": CsvOptions,
    "parquet": ParquetOptions,
    "imagefolder": ImagefolderOptions,
    "webdataset": WebdatasetOptions,
}
"""Format name → the class of its options."""


@dataclass(frozen=True)
class ExportReport:
    """What stands on disk (`splits`: pictures by split), and what this export lost beyond what the dataset had.

    `rows` is the number of the dataset's annotations; `captions` stand in files of their own; `turned` pictures were
    turned upright without loss.
    """

    format: str
    images: int
    annotations: int
    categories: int
    splits: Mapping[str, int]
    losses: tuple[Loss, ...]
    rows: int | None = None
    captions: int = 0
    turned: int = 0


def _no_progress(pictures: int) -> None:
    """Nobody watches."""


def write_export(
    format: str,
    dataset: Dataset,
    folder: Path,
    pictures: PictureSource | None,
    options: Options | None = None,
    progress: Callable[[int], None] = _no_progress,
    *,
    rows: AnnotationRows | None = None,
    previous: Path | None = None,
    descriptions: Mapping[str, str] | None = None,
    link: bool = True,
) -> ExportReport:
    """Write a dataset into an existing empty folder; the caller swaps it into place.

    The same dataset and options give the same bytes. A picture that cannot be had is left out with its boxes and
    reported; everything else is written.

    Args:
        format: coco, yolo, voc, csv, parquet, imagefolder or webdataset.
        dataset: what to write.
        folder: an existing empty folder.
        pictures: where the bytes of pictures come from; asked one picture at a time. None writes no pictures, only
            what is said of them.
        options: of the class that belongs to the format; None means its defaults.
        progress: called with the number of pictures done since the last call.
        rows: the annotations, in the order of the pictures, in place of the dataset's own table: for datasets whose
            annotations need not all be in memory.
        previous: an earlier export of this format, whose pictures are taken over where they would be the same.
        descriptions: image_id → text, for COCO's captions.
        link: whether pictures may be links at all; False copies each, whatever the options say of links.

    Raises:
        ExportError: unknown format, options of another format, a folder that is not empty, nothing to write where
            the format needs a picture, or a disk that does not take it.
    """
    chosen = _checked(format, folder, options)
    frame = arranged(dataset, rows)
    try:
        losses: list[Loss] = []
        turned = 0
        if isinstance(chosen, WebdatasetOptions):
            if pictures is None:
                raise ExportError("webdataset holds pictures: it cannot be written without them")
            frame, written = write_webdataset(frame, dataset, folder, chosen, pictures, progress)
        elif pictures is None or isinstance(chosen, CsvOptions | ParquetOptions):
            progress(len(frame.names))
            written = _write(frame, dataset, folder, chosen, descriptions or {})
        else:
            earlier = previous_pictures(previous, format, chosen) if link else None
            frame, losses, turned = place_pictures(
                frame, pictures, folder, chosen, earlier, progress, link=link
            )
            written = _write(frame, dataset, folder, chosen, descriptions or {})
        report = ExportReport(
            format=format,
            images=len(frame.names),
            annotations=written.annotations,
            categories=len(dataset.categories),
            splits={split: Counter(frame.splits)[split] for split in frame.used_splits()},
            losses=(*losses, *frame.losses, *written.losses),
            rows=frame.rows.count,
            captions=written.captions,
            turned=turned + written.turned,
        )
        counts = ExportCounts(report.images, report.annotations, report.categories, report.splits)
        more = {"captions": report.captions, "turned_without_loss": report.turned}
        write_report(format, dataset, folder, chosen, counts, report.losses, more)
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


def _write(
    frame: Frame,
    dataset: Dataset,
    folder: Path,
    options: Options,
    descriptions: Mapping[str, str],
) -> Written:
    if isinstance(options, CocoOptions):
        written = write_coco(frame, dataset, folder, options)
        return replace(written, captions=write_captions(frame, dataset, folder, descriptions))
    if isinstance(options, YoloOptions):
        return write_yolo(frame, dataset, folder, options)
    if isinstance(options, VocOptions):
        return write_voc(frame, dataset, folder, options)
    if isinstance(options, ImagefolderOptions):
        return write_imagefolder(frame, dataset, folder, options)
    if isinstance(options, ParquetOptions):
        return write_parquet(frame, dataset, folder, options)
    if isinstance(options, CsvOptions):
        return write_csv(frame, dataset, folder, options)
    raise ExportError(f"{type(options).__name__} are written with their pictures")
