"""Fingerprints of datasets, and what differs between two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pyarrow as pa

from aion_dagster.identity import digest
from aion_dagster.values import Category, Dataset

FORMAT_VERSION: Final = 1
"""Raised when the same rows would be exported differently, so that versions do not repeat with other bytes."""

VERSION_LENGTH: Final = 16
"""Hexadecimal digits of a fingerprint that serve as a dataset's version."""


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """How one dataset differs from another: image ids, sorted; a picture may be both changed and moved.

    `changed`: other annotations, file name or standing (labelled or not); `moved`: another split.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    classes_added: tuple[str, ...] = ()
    classes_removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any((self.added, self.removed, self.changed, self.moved, self.classes_added, self.classes_removed))  # fmt: skip


def dataset_fingerprint(
    images: pa.Table,
    annotations: pa.Table,
    categories: Sequence[Category],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 (hex) of a dataset's content; its first `VERSION_LENGTH` digits are the version.

    One hash per picture (its SHA-256, name, annotations, standing and split), sorted, hashed with classes, settings
    and `FORMAT_VERSION`; so it does not depend on the order of rows in `images` (schema `DATASET_IMAGES`) and
    `annotations` (`ANNOTATIONS`). Locations do not count: a picture that is moved is the same picture.
    """
    content = _content_hashes(images, annotations)
    splits = dict(zip(images["image_id"].to_pylist(), images["split"].to_pylist(), strict=True))
    rows = sorted(
        digest([image_id, hash_, splits[image_id]]) for image_id, hash_ in content.items()
    )
    classes = [[c.name, c.supercategory] for c in categories]
    whole = hashlib.sha256(digest([FORMAT_VERSION, classes, dict(settings)]).encode())
    for row in rows:
        whole.update(row.encode())
    return whole.hexdigest()


def diff(a: Dataset, b: Dataset) -> DatasetDiff:
    """What one has to do to `a` to get `b`."""
    before, after = (
        _content_hashes(a.images, a.annotations),
        _content_hashes(b.images, b.annotations),
    )
    was, now = (
        dict(zip(d.images["image_id"].to_pylist(), d.images["split"].to_pylist(), strict=True)) for d in (a, b)
    )  # fmt: skip
    both = sorted(before.keys() & after.keys())
    old, new = {c.name for c in a.categories}, {c.name for c in b.categories}
    return DatasetDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(i for i in both if before[i] != after[i]),
        moved=tuple(i for i in both if was[i] != now[i]),
        classes_added=tuple(sorted(new - old)),
        classes_removed=tuple(sorted(old - new)),
    )


def _content_hashes(images: pa.Table, annotations: pa.Table) -> dict[str, str]:
    """image_id → hash of everything about the picture but its split."""
    table = annotations.sort_by([("image_id", "ascending"), ("annotation_id", "ascending")])
    boxes = table["bbox"].combine_chunks()
    columns = [
        table[c].to_pylist()
        for c in ("annotation_id", "category", "score", "iscrowd", "text", "origin")
    ]
    columns += [boxes.field(side).to_pylist() for side in range(4)]
    outlines = table["segmentation"]
    shapes = outlines.to_pylist() if outlines.null_count < len(outlines) else []
    ids = table["image_id"].to_pylist()
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for place, image_id in enumerate(ids):
        starts.setdefault(image_id, place)
        ends[image_id] = place + 1
    own = ["image_id", "sha256", "file_name", "group_id", "labelled"]
    hashes: dict[str, str] = {}
    for values in zip(*(images[c].to_pylist() for c in own), strict=True):
        rows = slice(starts.get(values[0], 0), ends.get(values[0], 0))
        drawn = shapes[rows]
        # Only where the picture itself has outlines: another picture's must not change this one's hash.
        own_shapes = drawn if any(drawn) else None
        text = orjson.dumps([values[1:], [column[rows] for column in columns], own_shapes])
        hashes[values[0]] = hashlib.sha256(text).hexdigest()
    return hashes
