"""COCO captions: annotations/captions_<split>.json, in files of their own because loaders of boxes trip over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson

from aion_dagster.formats.frame import Frame
from aion_dagster.formats.parts import Integers
from aion_dagster.formats.write_coco import JsonList, write_images
from aion_dagster.values import Dataset

_AT_ONCE = 4096


def write_captions(
    frame: Frame, dataset: Dataset, folder: Path, descriptions: Mapping[str, str]
) -> int:
    """Write the dataset's captions and then the descriptions (image_id → text) of its pictures; returns how many.

    A file for every split that holds a picture; none at all where there is no caption. Ids count from 1 over all
    splits. The parts of the frame have been read before.
    """
    if not frame.seen["captions"] and not any(descriptions.values()):
        return 0
    splits = np.array(frame.splits, dtype="U8")
    number = 0
    with ExitStack() as stack:
        lists: dict[str, JsonList] = {}
        for split in frame.used_splits():
            path = folder / f"annotations/captions_{split}.json"
            file = stack.enter_context(path.open("xb"))
            head = {
                "info": {"description": dataset.name, "version": dataset.version},
                "licenses": [],
            }
            file.write(orjson.dumps(head)[:-1] + b",")
            write_images(file, frame, split)
            file.write(b",")
            lists[split] = JsonList(file, b"annotations")
        for rows, texts in _captions(frame, descriptions):
            images, names = frame.numbers[rows].tolist(), splits[rows].tolist()
            for split, image, text in zip(names, images, texts, strict=True):
                number += 1
                own = {"id": number, "image_id": image, "caption": text}
                lists[split].add(orjson.dumps(own))
        for listed in lists.values():
            listed.close()
            listed.file.write(b"}")
    return number


def _captions(
    frame: Frame, descriptions: Mapping[str, str]
) -> Iterator[tuple[Integers, Iterable[str]]]:
    if frame.seen["captions"]:
        yield from frame.captions()
    if not descriptions:
        return
    for start in range(0, len(frame.names), _AT_ONCE):
        ids = frame.images.column("image_id").slice(start, _AT_ONCE).to_pylist()
        texts = [descriptions.get(i) or "" for i in ids]
        rows = np.array([start + i for i, text in enumerate(texts) if text], dtype=np.int64)
        yield rows, [text for text in texts if text]
