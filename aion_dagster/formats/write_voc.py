"""Pascal VOC: Annotations/….xml, ImageSets/Main/<split>.txt, labelmap.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aion_dagster.formats.boxes import Floats
from aion_dagster.formats.frame import Frame
from aion_dagster.formats.names import stem
from aion_dagster.formats.options import VocOptions, Written, left_out
from aion_dagster.formats.parts import Integers, Part
from aion_dagster.formats.rows import joined, json_numbers
from aion_dagster.formats.text_files import write_text_files
from aion_dagster.values import Category, Dataset, Loss

_NOT_IN_LABELS = re.compile(r"^#|[:\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]")
"""A label map is read by line and split at colons; XML 1.0 has no control characters."""

_BACKGROUND: Final = "background"
"""The label map's own first entry; a class of this name gets another one."""

_DIGITS: Final = 6
"""Decimals that count when a side falls on a pixel edge: 33.3 + 66.7 must not reach into the next pixel."""


def write_voc(frame: Frame, dataset: Dataset, folder: Path, options: VocOptions) -> Written:
    """Write an XML file for every picture, without objects where it has none, the lists of splits and the label map.

    A crowd region is written as `difficult`, which evaluation leaves out as it does crowds.
    """
    labels, losses = _labels(dataset.categories)
    heads = _object_heads(labels)
    annotations = 0
    for part in frame.parts():
        losses += [
            Loss("converted", i, "a crowd region is written as difficult")
            for i in part.annotation_ids(np.flatnonzero(part.crowds()))
        ]
        names = (f"Annotations/{stem(name)}.xml" for name in part.names)
        write_text_files(folder, names, _documents(part, dataset, _objects(part, heads, options)))
        annotations += len(part.image)
    losses += left_out(frame.seen, "VOC's boxes")
    _write_lists(frame, folder)
    write_text_files(folder, ["labelmap.txt"], [_label_map(labels).encode()])
    return Written(annotations, tuple(losses))


def _object_heads(labels: Sequence[str]) -> pa.Array:
    texts = [
        f"  <object>\n    <name>{escape(label, quote=False)}</name>\n    <pose>Unspecified</pose>\n"
        "    <truncated>0</truncated>\n    <difficult>"
        for label in labels
    ]
    return pa.array(texts, pa.string())


def _objects(frame: Part, heads: pa.Array, options: VocOptions) -> list[memoryview]:
    """The objects of every picture."""
    if not len(frame.image):
        return [memoryview(b"")] * len(frame.names)
    sides = _devkit(frame) if options.coordinates == "devkit" else _float0(frame)
    xmin, ymin, xmax, ymax = (json_numbers(side, b"<") for side in sides)
    rows = joined(
        heads.take(pa.array(frame.category)), json_numbers(frame.crowds().astype(np.int8), b"<"),
        "/difficult>\n    <bndbox>\n      <xmin>", xmin, "/xmin>\n      <ymin>", ymin,
        "/ymin>\n      <xmax>", xmax, "/xmax>\n      <ymax>", ymax,
        "/ymax>\n    </bndbox>\n  </object>\n",
    )  # fmt: skip
    return rows.parts(frame.starts)


def _devkit(frame: Part) -> tuple[Integers, Integers, Integers, Integers]:
    """1-based whole pixels, first and last inside the box."""
    x, y, w, h = frame.boxes
    sides = []
    for low, size, limit in ((x, w, frame.widths), (y, h, frame.heights)):
        end = limit[frame.image]
        first = np.clip(np.floor(np.round(low, _DIGITS)) + 1, 1, np.maximum(end, 1))
        last = np.clip(np.ceil(np.round(low + size, _DIGITS)), first, np.maximum(end, first))
        sides.append((first.astype(np.int64), last.astype(np.int64)))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _float0(frame: Part) -> tuple[Floats, Floats, Floats, Floats]:
    """0-based numbers, always with a decimal point or exponent: so a reader tells them from the devkit's."""
    x, y, w, h = frame.boxes
    return x, y, x + w, y + h


def _documents(frame: Part, dataset: Dataset, objects: Sequence[memoryview]) -> Iterator[bytes]:
    database = escape(_NOT_IN_LABELS.sub("_", dataset.name), quote=False)
    sizes = zip(frame.names, frame.widths.tolist(), frame.heights.tolist(), objects, strict=True)
    for name, width, height, own in sizes:
        head = (
            "<annotation>\n  <folder>JPEGImages</folder>\n"
            f"  <filename>{escape(name, quote=False)}</filename>\n"
            f"  <source>\n    <database>{database}</database>\n  </source>\n"
            f"  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n"
            "    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n"
        )
        yield b"".join((head.encode(), own, b"</annotation>\n"))


def _write_lists(frame: Frame, folder: Path) -> None:
    ids: dict[str, list[str]] = {split: [] for split in frame.used_splits() or ("train",)}
    for split, name in zip(frame.splits, frame.names, strict=True):
        ids[split].append(f"{stem(name)}\n")
    write_text_files(
        folder,
        (f"ImageSets/Main/{split}.txt" for split in ids),
        ("".join(lines).encode() for lines in ids.values()),
    )


def _labels(categories: Sequence[Category]) -> tuple[list[str], list[Loss]]:
    """Names that a label map and XML can hold, still different from one another."""
    taken = {c.name for c in categories} | {_BACKGROUND}
    labels, losses = [], []
    for category in categories:
        label = _NOT_IN_LABELS.sub("_", category.name).strip() or "_"
        if label != category.name or label == _BACKGROUND:
            while label in taken:
                label += "_"
            taken.add(label)
            losses.append(Loss("renamed", category.name, f"is {label} in this export"))
        labels.append(label)
    return labels, losses


def _label_map(labels: Sequence[str]) -> str:
    """Datumaro's label map; colors as the devkit's VOCcolormap makes them from the index."""
    rows = ["# label:color_rgb:parts:actions", f"{_BACKGROUND}:{_color(0)}::"]
    rows += [f"{label}:{_color(i)}::" for i, label in enumerate(labels, start=1)]
    return "\n".join(rows) + "\n"


def _color(index: int) -> str:
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * place + channel) & 1) << (7 - place)
    return ",".join(map(str, channels))
