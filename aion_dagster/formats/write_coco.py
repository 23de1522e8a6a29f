"""COCO: annotations/instances_<split>.json, written in pieces so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
import pyarrow as pa

from aion_dagster.formats.boxes import areas, usable_polygon
from aion_dagster.formats.frame import Frame, Integers
from aion_dagster.formats.options import CocoOptions, Written
from aion_dagster.values import Category, Dataset

_ROWS_AT_ONCE: Final = 1 << 14


def write_coco(frame: Frame, dataset: Dataset, folder: Path, options: CocoOptions) -> Written:
    """Write one JSON file per split that holds a picture (`train` where there is none).

    Ids are whole numbers from 1 over all splits; every annotation has `area` (of its mask where it has one) and
    `iscrowd`; text and score stand in `attributes`, where CVAT and Datumaro look.
    """
    target = folder / "annotations"
    target.mkdir()
    area = areas(frame.annotations, frame.images)
    splits = np.array(frame.splits, dtype="U8")
    for split in frame.used_splits() or ("train",):
        pictures = np.flatnonzero(splits == split)
        rows = np.flatnonzero((splits == split)[frame.image]) if len(frame.image) else frame.image
        with (target / f"instances_{split}.json").open("xb") as file:
            file.write(_head(dataset, options))
            _write_list(file, b"images", _image_objects(frame, pictures))
            file.write(b",")
            _write_list(file, b"annotations", _annotation_objects(frame, area, rows, options))
            file.write(b"}")
    return Written(len(frame.image))


def _head(dataset: Dataset, options: CocoOptions) -> bytes:
    head = {
        "info": {"description": dataset.name, "version": dataset.version},
        "licenses": [],
        "categories": [
            {
                "id": i + options.first_category_id,
                "name": category.name,
                "supercategory": supercategory(category),
            }
            for i, category in enumerate(dataset.categories)
        ],
    }
    return orjson.dumps(head)[:-1] + b","


def supercategory(category: Category) -> str:
    """The category's parent, its own name where it has none: some loaders drop classes of "none"."""
    own = category.supercategory
    return own if own and own.strip().lower() not in ("", "none", "null") else category.name


def _write_list(file: BinaryIO, key: bytes, pieces: Iterator[list[dict[str, Any]]]) -> None:
    file.write(b'"' + key + b'":[')
    separator = b""
    for objects in pieces:
        file.write(separator + orjson.dumps(objects)[1:-1])
        separator = b","
    file.write(b"]")


def _pieces(rows: Integers) -> Iterator[Integers]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[start : start + _ROWS_AT_ONCE]


def _image_objects(frame: Frame, pictures: Integers) -> Iterator[list[dict[str, Any]]]:
    for rows in _pieces(pictures):
        columns = (frame.numbers[rows], rows, frame.widths[rows], frame.heights[rows])
        yield [
            {"id": number, "file_name": frame.names[row], "width": width, "height": height}
            for number, row, width, height in zip(*(c.tolist() for c in columns), strict=True)
        ]


def _annotation_objects(
    frame: Frame, area: np.ndarray[Any, Any], every_row: Integers, options: CocoOptions
) -> Iterator[list[dict[str, Any]]]:
    for rows in _pieces(every_row):
        x, y, w, h = (side[rows].tolist() for side in frame.boxes)
        columns = (
            frame.annotation_numbers[rows],
            frame.numbers[frame.image[rows]],
            frame.category[rows] + options.first_category_id,
            area[rows],
        )
        part = frame.annotations.take(pa.array(rows))
        objects: list[dict[str, Any]] = [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": [left, top, wide, tall],
                "area": size,
                "iscrowd": crowd,
                "segmentation": [],
            }
            for (number, image, category, size), left, top, wide, tall, crowd in zip(
                zip(*(c.tolist() for c in columns), strict=True),
                x,
                y,
                w,
                h,
                _crowds(part),
                strict=True,
            )
        ]
        _add_segmentations(objects, part, options)
        _add_attributes(objects, part)
        yield objects


def _crowds(part: pa.Table) -> list[int]:
    crowd: list[int] = part.column("iscrowd").fill_null(False).cast(pa.int8()).to_pylist()
    return crowd


def _add_segmentations(objects: list[dict[str, Any]], part: pa.Table, options: CocoOptions) -> None:
    column = part.column("segmentation")
    if column.null_count < len(column):
        for item, value in zip(objects, column.to_pylist(), strict=True):
            if value is not None:
                item["segmentation"] = _segmentation(value)
    if options.segmentation == "box":
        for item in objects:
            if not item["segmentation"]:
                x, y, w, h = item["bbox"]
                item["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]


def _segmentation(value: dict[str, Any]) -> list[list[float]] | dict[str, Any]:
    rle = value["rle"]
    if rle is not None and rle["counts"] is not None:
        return {"size": [rle["height"], rle["width"]], "counts": rle["counts"]}
    return [ring for ring in value["polygons"] or [] if ring and usable_polygon(ring)]


def _add_attributes(objects: list[dict[str, Any]], part: pa.Table) -> None:
    for name in ("text", "score"):
        column = part.column(name)
        if column.null_count < len(column):
            for item, value in zip(objects, column.to_pylist(), strict=True):
                if value is not None and value == value:
                    item.setdefault("attributes", {})[name] = value
