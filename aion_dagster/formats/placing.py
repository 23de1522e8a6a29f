"""All pictures of an export put into its folder: taken over from the export before, linked, or made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from aion_dagster.formats.frame import Frame
from aion_dagster.formats.metadata import Kind
from aion_dagster.formats.names import extension
from aion_dagster.formats.options import Options
from aion_dagster.formats.picture_list import Listed, Original, PreviousPictures, write_picture_list
from aion_dagster.formats.pictures import (
    PictureRow,
    PictureRules,
    PictureSource,
    Placed,
    changes_lost,
    kind_of,
    new_path,
    picture_name,
    place_picture,
)
from aion_dagster.formats.turned_jpegs import is_outdated, turned_without_loss
from aion_dagster.values import Loss

Progress = Callable[[int], None]


def place_pictures(
    frame: Frame,
    pictures: PictureSource,
    folder: Path,
    options: Options,
    previous: PreviousPictures | None,
    progress: Progress,
    *,
    link: bool = True,
) -> tuple[Frame, list[Loss], int]:
    """Put every picture into the folder and list them in pictures.csv; as copies unless they may `link`.

    Returns:
        The frame of the pictures that are there, the losses, and how many pictures were turned without loss.
    """
    rules = options.rules()
    rules = replace(rules, link=rules.link and link)
    names: list[str | None] = []
    sizes: list[tuple[int, int]] = []
    listed: list[Listed] = []
    losses: list[Loss] = []
    lost: list[int] = []
    earlier = _earlier(frame, previous)
    roots = {split: folder / options.picture_folder(split) for split in frame.used_splits()}
    rows = zip(frame.splits, picture_rows(frame), earlier, _originals(frame), strict=True)
    for split, row, known, original in rows:
        root = roots[split]
        found = None if previous is None else previous.take(known, original)
        placed = None if found is None else _taken_over(row, root, rules, *found)
        if placed is None:
            placed = place_picture(row, pictures, root, rules)
        if placed.name is None:
            lost.append(len(names))
        else:
            size_bytes = os.stat(f"{root}/{placed.name}").st_size  # noqa: PTH116 - thrice as fast
            file = f"{options.picture_folder(split)}/{placed.name}"
            listed.append(Listed(file, size_bytes, placed.changes))
        names.append(placed.name)
        sizes.append(placed.size)
        losses += placed.losses
        progress(1)
    if lost:
        losses = with_boxes(frame, lost, losses)
    placed_frame = frame.only(names, sizes)
    write_picture_list(folder, placed_frame, listed)
    turned = sum(turned_without_loss(picture.changes) for picture in listed)
    return placed_frame, losses, turned


def picture_rows(frame: Frame) -> Iterator[PictureRow]:
    """What is known of each picture."""
    ids, orientations = frame.images.column("image_id"), frame.images.column("orientation")
    for start in range(0, len(frame.names), 4096):
        cut = slice(start, start + 4096)
        columns = (
            ids.slice(start, 4096).to_pylist(),
            frame.names[cut],
            frame.widths[cut].tolist(),
            frame.heights[cut].tolist(),
            orientations.slice(start, 4096).fill_null(1).to_pylist(),
        )
        for values in zip(*columns, strict=True):
            yield PictureRow(*values)


def with_boxes(frame: Frame, lost: Sequence[int], losses: Sequence[Loss]) -> list[Loss]:
    """The losses, where those of pictures that are left out say how many boxes go with them."""
    counts = frame.annotations_per_picture()
    boxes = {frame.names[row]: counts[row] for row in lost}
    return [
        Loss(x.kind, x.subject, f"{x.detail}; boxes left out with it: {boxes[x.subject]}")
        if x.subject in boxes
        else x
        for x in losses
    ]


def _originals(frame: Frame) -> Iterator[Original]:
    """The bytes that each picture is made from."""
    hashes, locations = frame.images.column("sha256"), frame.images.column("locations")
    for start in range(0, len(frame.names), 4096):
        places = locations.slice(start, 4096)
        versions = pc.struct_field(pc.list_flatten(places), "version").to_pylist()
        counts = pc.list_value_length(places).fill_null(0).to_pylist()
        first = 0
        for sha256, count in zip(hashes.slice(start, 4096).to_pylist(), counts, strict=True):
            yield Original(sha256, tuple(versions[first : first + count]))
            first += count


def _earlier(frame: Frame, previous: PreviousPictures | None) -> list[int]:
    if previous is None:
        return [-1] * len(frame.names)
    rows: list[int] = np.asarray(previous.rows(frame.images.column("image_id"))).tolist()
    return rows


def _taken_over(
    row: PictureRow,
    folder: Path,
    rules: PictureRules,
    path: str,
    listed: Listed,
) -> Placed | None:
    """The picture as the export before holds it: the same file under today's name. None where it went away."""
    if is_outdated(listed.changes):
        return None
    kind: Kind = kind_of(extension(listed.file))
    name, renamed = picture_name(row.name, kind, rules)
    target = new_path(folder, name)
    try:
        os.link(path, target)
    except FileNotFoundError:
        return None
    except OSError:  # too many links
        shutil.copyfile(path, target)
    losses = (*changes_lost(row.name, listed.changes), *renamed)
    return Placed(name, losses, rules.size(row.width, row.height), listed.changes)
