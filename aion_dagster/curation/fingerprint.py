"""Fingerprints of datasets, and what differs between two of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import flat, is_ascending, places_in, text
from aion_dagster.curation.linking import Places
from aion_dagster.curation.row_hashes import row_hashes
from aion_dagster.identity import digest
from aion_dagster.values import Category, Dataset

FORMAT_VERSION: Final = 2
"""Raised when the same rows would be exported differently, so that versions do not repeat with other bytes."""

Splits = tuple[npt.NDArray[np.signedinteger[Any]], Sequence[str]]
"""The split of each picture as a place in a list of names, and that list."""

VERSION_LENGTH: Final = 16
"""Hexadecimal digits of a fingerprint that serve as a dataset's version."""

_SAME_PIXELS: Final = 2
"""Decimals of coordinates that one box shares in two versions."""


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """How one dataset differs from another: image ids, sorted; a picture may be both changed and moved.

    `changed`: other annotations, file name or standing (labelled or not); `moved`: another split; `regrouped`: another
    group, and nothing else. `reclassified`: (class before, class now) → boxes that are the same but for it.
    `moved_between`: (split before, split now) → pictures.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    regrouped: tuple[str, ...] = ()
    classes_added: tuple[str, ...] = ()
    classes_removed: tuple[str, ...] = ()
    reclassified: Mapping[tuple[str, str], int] = field(default_factory=dict)
    moved_between: Mapping[tuple[str, str], int] = field(default_factory=dict)
    annotations_added: int = 0
    annotations_removed: int = 0
    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any((self.added, self.removed, self.changed, self.moved, self.regrouped, self.classes_added, self.classes_removed))  # fmt: skip


def dataset_fingerprint(
    images: pa.Table,
    annotations: pa.Table,
    categories: Sequence[Category],
    settings: Mapping[str, Any],
) -> str:
    """SHA-256 (hex) of a dataset's content; its first `VERSION_LENGTH` digits are the version.

    One hash per picture (`row_hashes`) and its split, in the order of file names, hashed with classes, settings and
    `FORMAT_VERSION`; so it does not depend on the order of rows in `images` (schema `DATASET_IMAGES`) and
    `annotations` (`ANNOTATIONS`). Locations do not count: a picture that is moved is the same picture.
    """
    return fingerprint_of(images, row_hashes(images, annotations), categories, settings)


def fingerprint_of(
    images: pa.Table,
    hashes: pa.Table,
    categories: Sequence[Category],
    settings: Mapping[str, Any],
) -> str:
    """`dataset_fingerprint` where the pictures' hashes are known; `hashes` are in the order of `images`."""
    encoded = flat(images["split"], pa.string()).dictionary_encode()
    codes = encoded.indices.to_numpy()
    if not is_ascending(text(images["file_name"])):
        order = pc.sort_indices(images["file_name"])
        hashes, codes = hashes.take(order), codes[order.to_numpy()]
    splits = codes, encoded.dictionary.to_pylist()
    whole = _Fingerprint(splits, categories, settings)
    for chunk in hashes["content"].chunks:
        if len(chunk):
            whole.add(memoryview(chunk.buffers()[1])[32 * chunk.offset :][: 32 * len(chunk)])
    return whole.ended()


def hashed(
    images: pa.Table,
    annotations: pa.Table,
    splits: Splits,
    categories: Sequence[Category],
    settings: Mapping[str, Any],
    known: pa.Table | None = None,
    *,
    starts: Places,
    places: Places | None = None,
) -> tuple[pa.Table, str]:
    """`row_hashes` and `dataset_fingerprint` in one pass, hashing the pictures' hashes on another core.

    Args:
        images: in the order of file names.
        annotations: in the order of pictures and of their ids; `category` may be dictionary-encoded.
        splits: what `images` say in words.
        categories: the classes.
        settings: of the dataset.
        known: as `row_hashes` takes it, and so are `starts` and `places`.
        starts: where the annotations of each picture begin.
        places: where `known` has each picture.
    """
    whole = _Fingerprint(splits, categories, settings)
    with ThreadPoolExecutor(1, thread_name_prefix="fingerprint") as aside:
        begun: list[Future[None]] = []

        def done(contents: npt.NDArray[np.uint8]) -> None:
            begun.append(aside.submit(whole.add, contents.data))

        hashes = row_hashes(images, annotations, known, starts=starts, places=places, done=done)
        for part in begun:
            part.result()
    return hashes, whole.ended()


class _Fingerprint:
    """Takes the pictures' hashes in the order of file names."""

    def __init__(
        self, splits: Splits, categories: Sequence[Category], settings: Mapping[str, Any]
    ) -> None:
        codes, names = splits
        used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
        ranked = sorted(names[code] for code in used.tolist())
        ranks = np.array([ranked.index(n) if n in ranked else 0 for n in names], np.uint8)
        classes = [[c.name, c.supercategory, c.number] for c in categories]
        head = [FORMAT_VERSION, classes, dict(settings), ranked, len(codes)]
        self._whole = hashlib.sha256(digest(head).encode())
        self._splits = ranks[codes] if len(codes) else np.zeros(0, np.uint8)

    def add(self, contents: memoryview) -> None:
        """Hashes of pictures, one after the other."""
        self._whole.update(contents)

    def ended(self) -> str:
        """Once all have been added."""
        self._whole.update(self._splits.tobytes())
        return self._whole.hexdigest()


def diff(a: Dataset, b: Dataset) -> DatasetDiff:
    """What one has to do to `a` to get `b`."""
    places = places_in(b.images["image_id"], a.images["image_id"])
    both = np.flatnonzero(places >= 0)
    was, now = _rows(a.images, places[both]), _rows(b.images, both)
    gone = np.ones(a.images.num_rows, dtype=bool)
    gone[places[both]] = False
    ids = now["image_id"]
    differs = _differs(_contents(a).take(pa.array(places[both])), _contents(b).take(pa.array(both)))
    changed = _differs_but_for_group(a, b, ids.filter(pa.array(differs)))
    moved = _differs(was["split"], now["split"])
    added, lost = _annotations_of(b, changed), _annotations_of(a, changed)
    old, new = {c.name for c in a.categories}, {c.name for c in b.categories}
    pairs = zip(was["split"].filter(moved).to_pylist(), now["split"].filter(moved).to_pylist(), strict=True)  # fmt: skip
    own = set(ids.filter(pa.array(differs)).to_pylist()) - set(changed)
    return DatasetDiff(
        added=_sorted(b.images["image_id"].filter(pa.array(places < 0))),
        removed=_sorted(a.images["image_id"].filter(pa.array(gone))),
        changed=tuple(sorted(changed)),
        moved=_sorted(ids.filter(pa.array(moved))),
        regrouped=tuple(sorted(own)),
        classes_added=tuple(sorted(new - old)),
        classes_removed=tuple(sorted(old - new)),
        reclassified=_reclassified(lost, added),
        moved_between=dict(sorted(Counter(pairs).items())),
        annotations_added=len(added.keys() - lost.keys()),
        annotations_removed=len(lost.keys() - added.keys()),
        settings=_other_settings(a.settings, b.settings),
    )


def _rows(images: pa.Table, places: Places) -> pa.Table:
    return images.select(["image_id", "split"]).take(pa.array(places))


def _contents(dataset: Dataset) -> pa.Array:
    """The hash of each picture; made anew where the version was written before they were kept."""
    hashes = dataset.hashes
    if hashes is None:
        hashes = row_hashes(dataset.images, dataset.annotations)
    return flat(hashes["content"], pa.binary(32))


def _differs(one: pa.Array, two: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    differs = flat(pc.not_equal(one, two), pa.bool_())
    return np.asarray(differs.to_numpy(zero_copy_only=False), dtype=bool)


def _differs_but_for_group(a: Dataset, b: Dataset, ids: pa.ChunkedArray) -> list[str]:
    """Those of some pictures of both that differ in more than their group."""
    hashes = []
    for dataset in (a, b):
        images = dataset.images.filter(pc.is_in(dataset.images["image_id"], value_set=ids))
        place = images.schema.get_field_index("group_id")
        images = images.set_column(place, "group_id", pa.nulls(len(images), pa.string()))
        own = dataset.annotations.filter(pc.is_in(dataset.annotations["image_id"], value_set=ids))
        made = row_hashes(images, own)
        contents = made["content"].to_pylist()
        hashes.append(dict(zip(made["image_id"].to_pylist(), contents, strict=True)))
    return [i for i in hashes[0] if hashes[0][i] != hashes[1][i]]


def _annotations_of(dataset: Dataset, ids: Sequence[str]) -> dict[tuple[Any, ...], str]:
    """Image, place and order of equals → class, of the annotations of some pictures."""
    wanted = pa.array(sorted(ids), pa.string())
    own = dataset.annotations.filter(pc.is_in(dataset.annotations["image_id"], value_set=wanted))
    found: dict[tuple[Any, ...], str] = {}
    for row in own.select(["image_id", "category", "bbox", "origin"]).to_pylist():
        box = tuple(round(v, _SAME_PIXELS) for v in row["bbox"].values())
        key = (row["image_id"], row["origin"], *box)
        number = 0
        while (*key, number) in found:
            number += 1
        found[(*key, number)] = row["category"]
    return found


def _reclassified(
    before: Mapping[tuple[Any, ...], str], after: Mapping[tuple[Any, ...], str]
) -> dict[tuple[str, str], int]:
    both = before.keys() & after.keys()
    pairs = Counter((before[k], after[k]) for k in both if before[k] != after[k])
    return dict(sorted(pairs.items()))


def _other_settings(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    keys = sorted(before.keys() | after.keys())
    return {k: (before.get(k), after.get(k)) for k in keys if before.get(k) != after.get(k)}


def _sorted(ids: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(ids.to_pylist()))
