"""What stands beside the labels in every export: losses.csv, export.json, README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from aion_dagster.formats.counts import ExportCounts
from aion_dagster.formats.options import (
    CocoOptions,
    CsvOptions,
    ImagefolderOptions,
    Options,
    ParquetOptions,
    VocOptions,
    WebdatasetOptions,
    YoloOptions,
)
from aion_dagster.formats.picture_list import FORMAT_VERSION
from aion_dagster.formats.write_csv import write_rows
from aion_dagster.values import Dataset, Loss


def write_report(
    name: str,
    dataset: Dataset,
    folder: Path,
    options: Options,
    counts: ExportCounts,
    losses: Sequence[Loss],
    more: Mapping[str, int],
) -> None:
    """Write the loss report, the facts as JSON, and a README; no time, absolute path or machine name in them.

    `more`: counts that only some exports have; those of 0 are left out.
    """
    rows = [("dataset", loss) for loss in dataset.losses] + [("export", loss) for loss in losses]
    cells = ((stage, x.kind, x.subject, x.detail) for stage, x in rows)
    write_rows(folder / "losses.csv", ("stage", "kind", "subject", "detail"), cells)
    facts = {
        "format": name,
        "format_version": FORMAT_VERSION,
        "dataset": dataset.name,
        "version": dataset.version,
        "counts": {
            "images": counts.images,
            "annotations": counts.annotations,
            "categories": counts.categories,
            "splits": dict(counts.splits),
            "losses": len(rows),
            **{kind: n for kind, n in more.items() if n},
        },
        "options": asdict(options),
    }
    style = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    (folder / "export.json").write_bytes(orjson.dumps(facts, option=style))
    text = _readme(dataset, options, counts, len(rows), more.get("turned_without_loss", 0))
    (folder / "README.md").write_bytes(text.encode("utf-8", "replace"))


def _readme(
    dataset: Dataset, options: Options, counts: ExportCounts, losses: int, turned: int
) -> str:
    title, layout = _conventions(options)
    splits = ", ".join(f"{split} {n}" for split, n in counts.splits.items()) or "none"
    facts = (
        f"Version `{dataset.version}`. {counts.images} pictures ({splits}), {counts.annotations} annotations, "
        f"{counts.categories} categories in a fixed order.\n\n"
        f"`losses.csv` lists what could not be kept as it was ({losses} lines); `export.json` holds these facts "
        "for programs.\n"
    )
    parts = [f"# {' '.join(dataset.name.split())}: {title}\n", facts, f"{layout}\n"]
    if not isinstance(options, CsvOptions | ParquetOptions):
        parts.append(_picture_note(options, turned))
    return _front_matter(options, counts) + "\n".join(parts)


def _front_matter(options: Options, counts: ExportCounts) -> str:
    """What `datasets.load_dataset` reads of a folder: which files are which split."""
    if not isinstance(options, ImagefolderOptions | WebdatasetOptions):
        return ""
    pattern = "{}/**" if isinstance(options, ImagefolderOptions) else "{}-*.tar"
    named = {"train": "train", "val": "validation", "test": "test"}
    rows = [
        f"  - split: {named[split]}\n    path: {pattern.format(split)}\n" for split in counts.splits
    ]
    if not rows:
        return ""
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{''.join(rows)}---\n"


def _conventions(options: Options) -> tuple[str, str]:
    if isinstance(options, CocoOptions):
        return "COCO", (
            "`annotations/instances_<split>.json`; `file_name` is relative to `images/<split>/`. Boxes are "
            "[x, y, width, height] in pixels from the top left corner, 0-based, not rounded. `area` is that of the "
            f"mask where there is one. Category ids {_ids(options)}; ids are the same in all "
            "splits."
        )
    if isinstance(options, YoloOptions):
        rows = (
            "class and polygon"
            if options.task == "segment"
            else "class, center x, center y, width, height"
        )
        return "YOLO", (
            f"`labels/<split>/` mirrors `images/<split>/`. Rows are {rows} as fractions of the picture's size. A "
            "picture without objects has an empty file. Where a split is missing, `data.yaml` names another one in "
            "its place, and `losses.csv` says so."
        )
    if isinstance(options, VocOptions):
        return "Pascal VOC", _voc_conventions(options)
    if isinstance(options, ImagefolderOptions):
        return "Hugging Face imagefolder", _IMAGEFOLDER.format(options.metadata)
    if isinstance(options, WebdatasetOptions):
        return "WebDataset", _WEBDATASET
    if isinstance(options, ParquetOptions):
        return "Parquet", (
            "`annotations.parquet` has a row per box (`bbox` x, y, w, h in pixels from the top left corner, 0-based), "
            "`images.parquet` one per picture, also of those without boxes, `categories.parquet` one per class in "
            "the order of `category_id`."
        )
    cells = (
        "A cell that a spreadsheet would run as a formula has an apostrophe in front. "
        if options.neutralise
        else "Cells are written as they are: take care with spreadsheets. "
    )
    return "CSV", (
        "`annotations.csv` has a row per box (x, y, w, h in pixels from the top left corner, 0-based), `images.csv` "
        f"one per picture, also of those without boxes, `categories.csv` one per class. {cells}UTF-8."
    )


_IMAGEFOLDER = (
    '`datasets.load_dataset("<this folder>")` reads it. `<split>/metadata.{}` has a line per picture: its name below '
    "the folder of the split, its size, and `objects`, lists of one entry per box: `bbox` is [x, y, width, height] "
    "in pixels from the top left corner, 0-based; `category_id` counts from 0. A picture without boxes has empty "
    "lists."
)
_WEBDATASET = (
    "`<split>-<number>.tar`; the files of a sample share nine digits, the number of the picture in the dataset. "
    "`.json` holds file_name, width, height and annotations: boxes are [x, y, width, height] in pixels from the top "
    "left corner, 0-based; `category_id` counts from 0. `.cls` is there where every picture has boxes of exactly one "
    "class. Pictures of several formats have several extensions; export with `picture_format` where a loader wants one."
)


def _ids(options: CocoOptions) -> str:
    if options.category_ids == "keep":
        return "are those of the label files, unless `losses.csv` says otherwise"
    return f"count from {options.first_category_id}"


def _voc_conventions(options: VocOptions) -> str:
    if options.coordinates == "devkit":
        rule = (
            "Coordinates follow the VOC devkit: whole pixels counted from 1, first and last pixel inside the box "
            "(xmin = floor(x) + 1, xmax = ceil(x + width)). Many loaders do not subtract the 1: boxes are then up to "
            "a pixel off."
        )
    else:
        rule = (
            "Coordinates are 0-based and not rounded: xmin = x, xmax = x + width. This is not the VOC devkit's rule; "
            "tools that subtract 1 shift boxes by a pixel."
        )
    return (
        "`Annotations/<id>.xml`, `JPEGImages/<id>.jpg` (or .png, .webp, .bmp), `ImageSets/Main/<split>.txt`, "
        f"`labelmap.txt`. {rule} `depth` is always 3: loaders read RGB."
    )


def _picture_note(options: Options, turned: int) -> str:
    linked = (
        "In a store, pictures may be hard links to the originals, one file with two names. Replacing or deleting one "
        "of them is safe, but a program that writes into a file in place changes both: a picture changed here changes "
        "the original, and an original changed in place changes this export, until it is made again. What `--to` and "
        "`destination` write are copies, which share nothing with the originals; `link_pictures: false` makes copies "
        "in the store, too.\n"
        if options.link_pictures
        else "Pictures are copies; nothing here is linked to the originals.\n"
    )
    metadata = (
        "EXIF and other metadata were kept as asked."
        if options.keep_exif
        else "EXIF, GPS, XMP, comments and thumbnails were taken out; color profiles were kept."
    )
    upright = "Pictures are upright and boxes refer to their pixels as stored."
    if turned:
        upright += (
            f" {turned} of them {'was' if turned == 1 else 'were'} turned without loss: blocks changed their places, "
            "nothing was encoded again."
        )
    if isinstance(options, WebdatasetOptions):
        return f"{upright} {metadata}\n"
    listed = "`pictures.csv` says which picture is which file and what was done to it. "
    linked = listed + linked
    return f"{upright} {metadata} {linked}"
