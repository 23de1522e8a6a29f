"""Pascal VOC: Annotations/….xml, ImageSets/Main/<split>.txt, labelmap.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.formats.frame import Frame
from aion_dagster.formats.names import stem
from aion_dagster.formats.options import VocOptions, Written, left_out_masks
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
    crowd = frame.annotations.column("iscrowd").fill_null(False).to_numpy()
    ids = frame.annotation_ids() if crowd.any() else []
    losses += [
        Loss("converted", str(ids[row]), "a crowd region is written as difficult")
        for row in np.flatnonzero(crowd).tolist()
    ]
    masks = int(pc.sum(frame.annotations.column("segmentation").is_valid()).as_py() or 0)
    losses += left_out_masks(masks, "VOC's boxes")
    objects = _objects(frame, labels, crowd, options)
    names = (f"Annotations/{stem(name)}.xml" for name in frame.names)
    write_text_files(folder, names, _documents(frame, dataset, objects))
    _write_lists(frame, folder)
    write_text_files(folder, ["labelmap.txt"], [_label_map(labels)])
    return Written(len(objects), tuple(losses))


def _objects(
    frame: Frame, labels: Sequence[str], crowd: NDArray[np.bool_], options: VocOptions
) -> list[str]:
    names = [escape(label, quote=False) for label in labels]
    heads = [
        f"  <object>\n    <name>{name}</name>\n    <pose>Unspecified</pose>\n"
        "    <truncated>0</truncated>\n"
        for name in names
    ]
    template = (
        "%s    <difficult>%d</difficult>\n    <bndbox>\n      <xmin>%s</xmin>\n      <ymin>%s</ymin>\n"
        "      <xmax>%s</xmax>\n      <ymax>%s</ymax>\n    </bndbox>\n  </object>\n"
    )
    corners = _devkit(frame) if options.coordinates == "devkit" else _float0(frame)
    return [
        template % (heads[category], difficult, *sides)
        for category, difficult, sides in zip(
            frame.category.tolist(), crowd.tolist(), zip(*corners, strict=True), strict=True
        )
    ]


def _devkit(frame: Frame) -> list[list[int]]:
    """1-based whole pixels, first and last inside the box."""
    x, y, w, h = frame.boxes
    sides = []
    for low, size, limit in ((x, w, frame.widths), (y, h, frame.heights)):
        end = limit[frame.image]
        first = np.clip(np.floor(np.round(low, _DIGITS)) + 1, 1, np.maximum(end, 1))
        last = np.clip(np.ceil(np.round(low + size, _DIGITS)), first, np.maximum(end, first))
        sides.append((first.astype(int).tolist(), last.astype(int).tolist()))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def _float0(frame: Frame) -> list[list[str]]:
    """0-based numbers, always with a decimal point or exponent: so a reader tells them from the devkit's."""
    x, y, w, h = frame.boxes
    return [[repr(v) for v in side.tolist()] for side in (x, y, x + w, y + h)]


def _documents(frame: Frame, dataset: Dataset, objects: list[str]) -> Iterator[str]:
    database = escape(_NOT_IN_LABELS.sub("_", dataset.name), quote=False)
    starts = frame.starts.tolist()
    sizes = zip(frame.widths.tolist(), frame.heights.tolist(), strict=True)
    for i, (name, (width, height)) in enumerate(zip(frame.names, sizes, strict=True)):
        yield (
            "<annotation>\n  <folder>JPEGImages</folder>\n"
            f"  <filename>{escape(name, quote=False)}</filename>\n"
            f"  <source>\n    <database>{database}</database>\n  </source>\n"
            f"  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n"
            "    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n"
            f"{''.join(objects[starts[i] : starts[i + 1]])}</annotation>\n"
        )


def _write_lists(frame: Frame, folder: Path) -> None:
    ids: dict[str, list[str]] = {split: [] for split in frame.used_splits() or ("train",)}
    for split, name in zip(frame.splits, frame.names, strict=True):
        ids[split].append(f"{stem(name)}\n")
    write_text_files(
        folder, (f"ImageSets/Main/{split}.txt" for split in ids), map("".join, ids.values())
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
