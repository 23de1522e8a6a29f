"""Hugging Face's imagefolder: <split>/<pictures> with metadata.jsonl or metadata.parquet in each split's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.formats.boxes import areas
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.options import ImagefolderOptions, Written, left_out
from aion_dagster.formats.parts import Part
from aion_dagster.formats.row_groups import RowGroups
from aion_dagster.formats.rows import joined, json_numbers
from aion_dagster.values import Dataset

_OBJECTS: Final = pa.struct(
    [
        ("id", pa.list_(pa.string())),
        ("bbox", pa.list_(pa.list_(pa.float64(), 4))),
        ("category", pa.list_(pa.string())),
        ("category_id", pa.list_(pa.int64())),
        ("area", pa.list_(pa.float64())),
        ("iscrowd", pa.list_(pa.bool_())),
    ]
)
_CODED: Final = ("objects.category.list.element",)
_GROUP: Final = 2048
"""Pictures in a row group, with all their boxes."""

_COLUMNS: Final = pa.schema(
    [
        ("file_name", pa.string()),
        ("image_id", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("objects", _OBJECTS),
    ]
)


def write_imagefolder(
    frame: Frame, dataset: Dataset, folder: Path, options: ImagefolderOptions
) -> Written:
    """Write what is known of the pictures of each split; a picture without objects has empty lists.

    Boxes are [x, y, width, height] in pixels, `category_id` counts from 0 in the order of the classes.
    """
    write_classes(folder, dataset)
    make = _tables if options.metadata == "parquet" else _lines
    names = _names(dataset, options)
    annotations = 0
    with ExitStack() as stack:
        add: dict[str, Callable[[Any], object]] = {}
        for split in frame.used_splits() or ("train",):
            (folder / split).mkdir(exist_ok=True)
            place = folder / split / f"metadata.{options.metadata}"
            if options.metadata == "parquet":
                add[split] = stack.enter_context(
                    RowGroups(place, _COLUMNS, coded=_CODED, rows=_GROUP)
                ).add
            else:
                add[split] = stack.enter_context(place.open("xb")).write
        for part in frame.parts():
            annotations += len(part.image)
            for split, piece in make(part, names) if part.names else ():
                add[split](piece)
    return Written(annotations, left_out(frame.seen, "imagefolder's metadata"))


def _names(dataset: Dataset, options: ImagefolderOptions) -> pa.Array:
    """The classes as they are written."""
    names = [c.name for c in dataset.categories]
    if options.metadata == "jsonl":
        names = [orjson.dumps(name).decode() + "," for name in names]
    return pa.array(names, pa.string())


def write_classes(folder: Path, dataset: Dataset) -> None:
    """Write classes.json: the names of the classes in their order."""
    names = [c.name for c in dataset.categories]
    (folder / "classes.json").write_bytes(orjson.dumps(names, option=orjson.OPT_APPEND_NEWLINE))


def _tables(part: Part, names: pa.Array) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each split."""
    starts = pa.array(part.starts.astype(np.int32))
    sides = pa.array(np.stack(part.boxes, axis=1).ravel())
    columns = (
        part.annotations.column("annotation_id").combine_chunks(),
        pa.FixedSizeListArray.from_arrays(sides, 4),
        names.take(pa.array(part.category)),
        pa.array(part.category, pa.int64()),
        pa.array(areas(part.annotations, part.images)),
        pa.array(part.crowds()),
    )
    lists = [pa.ListArray.from_arrays(starts, column) for column in columns]
    objects = pa.StructArray.from_arrays(lists, fields=list(_OBJECTS))
    made = {
        "file_name": pa.array(part.names, pa.string()),
        "image_id": part.images.column("image_id"),
        "width": pa.array(part.widths),
        "height": pa.array(part.heights),
        "objects": objects,
    }
    table = pa.table(made, schema=_COLUMNS)
    splits = pa.array(part.splits, pa.string())
    for split in dict.fromkeys(part.splits):
        yield split, table.filter(pc.equal(splits, split))


def _lines(part: Part, names: pa.Array) -> Iterator[tuple[str, bytes]]:
    """The lines of each split."""
    lists = {
        "id": _quoted(part.annotations.column("annotation_id").combine_chunks()),
        "bbox": json_numbers(np.stack(part.boxes, axis=1)),
        "category": names.take(pa.array(part.category)),
        "category_id": json_numbers(part.category),
        "area": json_numbers(areas(part.annotations, part.images)),
        "iscrowd": pa.array(["false,", "true,"]).take(pa.array(part.crowds().astype(np.int8))),
    }
    starts = pa.array(part.starts.astype(np.int32))
    cells: list[str | pa.Array] = []
    for name, column in lists.items():
        own = pc.binary_join(pa.ListArray.from_arrays(starts, column), "")
        cells += [f'"{name}":[', pc.ascii_rtrim(own, ","), "],"]
    cells[-1] = "]}}\n"
    lines = joined(_heads(part), *cells).parts(np.arange(len(part.names) + 1))
    for split in dict.fromkeys(part.splits):
        mine = (line for line, own in zip(lines, part.splits, strict=True) if own == split)
        yield split, b"".join(mine)


def _heads(part: Part) -> pa.Array:
    ids = part.images.column("image_id").to_pylist()
    sizes = zip(part.names, ids, part.widths.tolist(), part.heights.tolist(), strict=True)
    keys = ("file_name", "image_id", "width", "height")
    heads = (orjson.dumps(dict(zip(keys, facts, strict=True))) for facts in sizes)
    return pa.array([f'{head[:-1].decode()},"objects":{{' for head in heads], pa.string())


def _quoted(texts: pa.Array) -> pa.Array:
    """Texts as JSON has them, with a comma behind each."""
    if pc.any(pc.match_substring_regex(texts, r'["\\\\\x00-\x1f]')).as_py():
        return pa.array([orjson.dumps(t).decode() + "," for t in texts.to_pylist()], pa.string())
    return pc.binary_join_element_wise('"', texts, '",', "")
