"""WebDataset: <split>-<number>.tar with a picture and a JSON file for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import orjson
import pyarrow as pa

from aion_dagster.formats.frame import Frame
from aion_dagster.formats.options import CocoOptions, WebdatasetOptions, Written, left_out
from aion_dagster.formats.parts import Part
from aion_dagster.formats.pictures import (
    PictureSource,
    Prepared,
    changes_lost,
    prepare_picture,
)
from aion_dagster.formats.placing import picture_rows, with_boxes
from aion_dagster.formats.tar_files import tar_end, tar_header, tar_padding
from aion_dagster.formats.turned_jpegs import turned_without_loss
from aion_dagster.formats.write_coco import annotation_rows
from aion_dagster.formats.write_imagefolder import write_classes
from aion_dagster.values import Dataset, Loss

Sample = list[tuple[str, bytes]]
"""Extension and content of each file of a sample."""

_EXTENSIONS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp", "bmp": "bmp"}
_OPTIONS: Final = CocoOptions()


def write_webdataset(
    frame: Frame,
    dataset: Dataset,
    folder: Path,
    options: WebdatasetOptions,
    pictures: PictureSource,
    progress: Callable[[int], None],
) -> tuple[Frame, Written]:
    """Write the shards of every split; the frame of the pictures that are in them, and what was written.

    A sample's key is the number of its picture in nine digits. Its JSON holds file_name, width, height, image_id and
    annotations as in COCO with the class by name and by its index from 0. Where every picture has boxes of exactly
    one class, `.cls` holds the index.
    """
    rules = options.rules()
    classes = frame.only_classes()
    rows = picture_rows(frame)
    sizes = [
        rules.size(*s) for s in zip(frame.widths.tolist(), frame.heights.tolist(), strict=True)
    ]
    frame = frame.only(frame.names, sizes)
    names_in_json = pa.array(
        [orjson.dumps(c.name).decode() for c in dataset.categories], pa.string()
    )
    names: list[str | None] = []
    losses: list[Loss] = []
    write_classes(folder, dataset)
    annotations = turned = 0
    with ExitStack() as stack:
        shards = {s: Shards(folder, s, options, stack) for s in frame.used_splits() or ("train",)}
        for part in frame.parts():
            for i, facts in enumerate(_facts(part, names_in_json)):
                row = next(rows)
                made = prepare_picture(row, pictures, rules)
                progress(1)
                if isinstance(made, Loss):
                    losses.append(made)
                    names.append(None)
                    continue
                sample = [(_EXTENSIONS[made.kind], _content(made)), ("json", facts)]
                if classes is not None:
                    sample.append(("cls", b"%d" % classes[len(names)]))
                losses += changes_lost(row.name, made.changes)
                turned += turned_without_loss(made.changes)
                names.append(row.name)
                annotations += int(part.starts[i + 1] - part.starts[i])
                shards[part.splits[i]].add(f"{part.numbers[i]:09d}", sample)
    gone = [i for i, name in enumerate(names) if name is None]
    losses = with_boxes(frame, gone, losses) if gone else losses
    kept = ("segmentation", "score", "text", "keypoints", "attributes")
    lost = (*losses, *left_out(frame.seen, "WebDataset's JSON", but=kept))
    return frame.only(names, sizes), Written(annotations, lost, turned=turned)


def _facts(part: Part, names: pa.Array) -> Iterator[bytes]:
    """The JSON of each picture."""
    if len(part.image):
        objects = [
            bytes(own[:-1])
            for own in annotation_rows(part, _OPTIONS, np.arange(len(names)), names).parts(
                part.starts
            )
        ]
    else:
        objects = [b""] * len(part.names)
    ids = part.images.column("image_id").to_pylist()
    sizes = zip(part.names, ids, part.widths.tolist(), part.heights.tolist(), strict=True)
    for (name, image_id, width, height), own in zip(sizes, objects, strict=True):
        head = {"file_name": name, "image_id": image_id, "width": width, "height": height}
        yield orjson.dumps(head)[:-1] + b',"annotations":[' + own + b"]}"


def _content(made: Prepared) -> bytes:
    return made.data if made.path is None else made.path.read_bytes()


class Shards:
    """The tar files of one split, begun one after the other."""

    def __init__(
        self, folder: Path, split: str, options: WebdatasetOptions, stack: ExitStack
    ) -> None:
        """Begin the first shard; `stack` ends the last one."""
        self._folder, self._split, self._options = folder, split, options
        self._number = -1
        self._file: BinaryIO
        self._begin()
        stack.callback(self._end)

    def add(self, key: str, sample: Sample) -> None:
        """A sample, into a new shard where this one is full."""
        full = self._samples >= self._options.shard_pictures
        if full or (self._samples and self._size >= self._options.shard_bytes):
            self._end()
            self._begin()
        for suffix, data in sample:
            for piece in (tar_header(f"{key}.{suffix}", len(data)), data, tar_padding(len(data))):
                self._file.write(piece)
                self._size += len(piece)
        self._samples += 1

    def _begin(self) -> None:
        self._number += 1
        self._samples = self._size = 0
        self._file = (self._folder / f"{self._split}-{self._number:06d}.tar").open("xb")

    def _end(self) -> None:
        self._file.write(tar_end(self._size))
        self._file.close()
