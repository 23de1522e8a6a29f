"""COCO: annotations/instances_<split>.json, written in pieces so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
import pyarrow as pa

from aion_dagster.formats.boxes import areas, usable_polygon
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.options import CocoOptions, Written, left_out
from aion_dagster.formats.parts import Integers, Part
from aion_dagster.formats.rows import Rows, joined, json_numbers
from aion_dagster.values import Category, Dataset, Loss

_KEPT: Final = ("segmentation", "score", "text", "keypoints", "attributes", "captions")
_PICTURES_AT_ONCE: Final = 1 << 14

Buffer = bytes | memoryview


def write_coco(frame: Frame, dataset: Dataset, folder: Path, options: CocoOptions) -> Written:
    """Write one JSON file per split that holds a picture (`train` where there is none).

    Ids are whole numbers from 1 over all splits; every annotation has `area` (of its mask where it has one) and
    `iscrowd`; text and score stand in `attributes`, where CVAT and Datumaro look.
    """
    target = folder / "annotations"
    target.mkdir()
    annotations = 0
    ids, losses = category_ids(dataset.categories, options)
    with ExitStack() as stack:
        files: dict[str, JsonList] = {}
        for split in frame.used_splits() or ("train",):
            file = stack.enter_context((target / f"instances_{split}.json").open("xb"))
            file.write(_head(dataset, ids))
            write_images(file, frame, split)
            file.write(b",")
            files[split] = JsonList(file, b"annotations")
        for part in frame.parts():
            annotations += len(part.image)
            if len(part.image):
                _add(files, part, annotation_rows(part, options, ids).parts(part.starts))
        for listed in files.values():
            listed.close()
            listed.file.write(b"}")
    return Written(annotations, (*losses, *left_out(frame.seen, "COCO's instances", but=_KEPT)))


def category_ids(
    categories: Sequence[Category], options: CocoOptions
) -> tuple[Integers, tuple[Loss, ...]]:
    """The id of every class, and a loss where those of the label files could not be kept."""
    contiguous = np.arange(len(categories), dtype=np.int64) + options.first_category_id
    if options.category_ids == "contiguous":
        return contiguous, ()
    own = [c.number for c in categories]
    if None not in own and len(set(own)) == len(own):
        return np.array(own, dtype=np.int64), ()
    reason = "some classes have no id in the label files, or two have the same: ids are contiguous"
    return contiguous, (Loss("converted", "category ids", reason),)


def _add(files: Mapping[str, JsonList], part: Part, objects: Sequence[memoryview]) -> None:
    """The objects of each picture into the file of its split."""
    for split, listed in files.items():
        mine = [o for o, own in zip(objects, part.splits, strict=True) if own == split]
        listed.add(memoryview(b"".join(mine))[:-1])


def _head(dataset: Dataset, ids: Integers) -> bytes:
    head = {
        "info": {"description": dataset.name, "version": dataset.version},
        "licenses": [],
        "categories": [
            _category(category, number)
            for category, number in zip(dataset.categories, ids.tolist(), strict=True)
        ],
    }
    return orjson.dumps(head)[:-1] + b","


def _category(category: Category, number: int) -> dict[str, Any]:
    found = {"id": number, "name": category.name, "supercategory": supercategory(category)}
    if category.keypoints:
        found |= {"keypoints": category.keypoints, "skeleton": category.skeleton}
    return found


def supercategory(category: Category) -> str:
    """The category's parent, its own name where it has none: some loaders drop classes of "none"."""
    own = category.supercategory
    return own if own and own.strip().lower() not in ("", "none", "null") else category.name


class JsonList:
    """`"key":[…]`, written from pieces that hold objects with commas between them."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        """Begin the list in a file."""
        self.file = file
        self._separator = b""
        file.write(b'"' + key + b'":[')

    def add(self, piece: Buffer) -> None:
        """Some objects, or none."""
        if len(piece):
            self.file.write(self._separator)
            self.file.write(piece)
            self._separator = b","

    def close(self) -> None:
        """End the list; the file stays open."""
        self.file.write(b"]")


def write_images(file: BinaryIO, frame: Frame, split: str) -> None:
    """The pictures of a split as COCO lists them."""
    listed = JsonList(file, b"images")
    rows = np.flatnonzero(np.array(frame.splits, dtype="U8") == split)
    for start in range(0, len(rows), _PICTURES_AT_ONCE):
        some = rows[start : start + _PICTURES_AT_ONCE]
        columns = (some, frame.numbers[some], frame.widths[some], frame.heights[some])
        objects = [
            {"id": number, "file_name": frame.names[row], "width": width, "height": height}
            for row, number, width, height in zip(*(c.tolist() for c in columns), strict=True)
        ]
        listed.add(memoryview(orjson.dumps(objects))[1:-1])
    listed.close()


def annotation_rows(
    part: Part, options: CocoOptions, ids: Integers, names: pa.Array | None = None
) -> Rows:
    """Each annotation as a COCO object with a comma behind it; with its class, where the `names` in JSON are given."""
    named = () if names is None else ('"category":', names.take(pa.array(part.category)), ",")
    return joined(
        '{"id":', json_numbers(part.annotation_numbers),
        '"image_id":', json_numbers(part.numbers[part.image]),
        '"category_id":', json_numbers(ids[part.category]),
        *named,
        '"bbox":', json_numbers(np.stack(part.boxes, axis=1)),
        '"area":', json_numbers(areas(part.annotations, part.images)),
        '"iscrowd":', json_numbers(part.crowds().astype(np.int8)),
        '"segmentation":', _segmentations(part, options), _extras(part.annotations), "},",
    )  # fmt: skip


def _segmentations(part: Part, options: CocoOptions) -> str | pa.Array:
    corners = _corners(part) if options.segmentation == "box" else None
    column = part.annotations.column("segmentation")
    if column.null_count == len(column):
        return "[]" if corners is None else pa.array(corners)
    empty = ["[]"] * len(column) if corners is None else corners
    found = [_segmentation(value) for value in column.to_pylist()]
    texts = (orjson.dumps(f).decode() if f else e for f, e in zip(found, empty, strict=True))
    return pa.array(texts, pa.string())


def _corners(part: Part) -> list[str]:
    x, y, w, h = part.boxes
    sides = np.stack([x, y, x + w, y, x + w, y + h, x, y + h], axis=1)
    return [f"[{corners[:-1]}]" for corners in json_numbers(sides).to_pylist()]


def _segmentation(value: dict[str, Any] | None) -> list[list[float]] | dict[str, Any]:
    if value is None:
        return []
    rle = value["rle"]
    if rle is not None and rle["counts"] is not None:
        return {"size": [rle["height"], rle["width"]], "counts": rle["counts"]}
    return [ring for ring in value["polygons"] or [] if ring and usable_polygon(ring)]


def _extras(annotations: pa.Table) -> str | pa.Array:
    """What follows the segmentation: nothing, or keypoints and attributes of those that have such."""
    columns = [annotations.column(n) for n in ("keypoints", "attributes", "text", "score")]
    if all(column.null_count == len(column) for column in columns):
        return ""
    rows = zip(*(c.to_pylist() for c in columns), strict=True)
    return pa.array([_extra(*row) for row in rows], pa.string())


def _extra(
    keypoints: list[float] | None, attributes: str | None, text: str | None, score: float | None
) -> str:
    found: dict[str, Any] = {}
    if keypoints:
        numbers = [v if i % 3 < 2 else int(v) for i, v in enumerate(keypoints)]
        found = {"keypoints": numbers, "num_keypoints": sum(v > 0 for v in numbers[2::3])}
    own = {"text": text, "score": score}
    kept = (orjson.loads(attributes) if attributes else {}) | {
        name: value for name, value in own.items() if value is not None and value == value
    }
    if kept:
        found["attributes"] = kept
    return f",{orjson.dumps(found).decode()[1:-1]}" if found else ""
