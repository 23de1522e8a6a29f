"""What a picture in a dataset is, as a hash: made anew only for pictures that changed since an earlier version."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.columns import (
    Words,
    flat,
    is_ascending,
    places_in,
    run_starts,
    text,
    text_bytes,
)
from aion_dagster.curation.linking import Places
from aion_dagster.curation.row_checks import picture_checks
from aion_dagster.curation.row_pieces import (
    ANNOTATION_TEXTS,
    NAMES,
    PICTURE_TEXTS,
    Pieces,
    edges_of,
    flags,
    lengths,
    name_numbers,
    number_lists,
    outlines,
    ranges,
    records,
    scores,
    sides,
    strings,
)

PICTURES_AT_ONCE: Final = 1 << 17
"""Pictures looked at by one thread at a time."""

_HASHED_AT_ONCE: Final = 65_536

_SIZE: Final = 32

Contents = npt.NDArray[np.uint8]


def row_hashes(
    images: pa.Table,
    annotations: pa.Table,
    known: pa.Table | None = None,
    *,
    starts: Places | None = None,
    places: Places | None = None,
    done: Callable[[Contents], object] | None = None,
) -> pa.Table:
    """Hashes of a dataset's pictures, in the order of `images`.

    `content` is a SHA-256 over everything about a picture but its split: ids, name, standing, group and annotations.
    `check` tells in 64 bits, made for all pictures at once, whether any of that changed since an earlier version, whose
    `content` is taken over then.

    Args:
        images: schema `DATASET_IMAGES`.
        annotations: schema `ANNOTATIONS`, in any order; `category` may be dictionary-encoded.
        known: schema `ROW_HASHES` of an earlier version.
        starts: where the annotations of each picture begin, one more than there are pictures, where they are in the order
            of pictures and of their ids already.
        places: where `known` has each picture, -1 where it does not; looked up where this is not given.
        done: gets the contents (n, 32) of pictures that are done, part after part, in their order.

    Returns:
        Schema `ROW_HASHES`.
    """
    if starts is None:
        annotations, starts = _by_image(text(images["image_id"]), annotations)
    if known is not None and places is None:
        places = places_in(images["image_id"], known["image_id"])
    former = _Former.of(known, places)
    checks = np.empty(len(images), np.uint64)
    contents = np.empty((len(images), _SIZE), np.uint8)

    def look(first: int, last: int) -> Places:
        """Check some pictures; which have to be hashed anew."""
        edges = starts[first : last + 1]
        own = annotations.slice(int(edges[0]), int(edges[-1] - edges[0]))
        part = slice(first, last)
        checks[part] = picture_checks(images.slice(first, last - first), own, edges - edges[0])
        if former is None:
            return np.arange(first, last)
        return first + former.changed(part, checks[part], contents[part])

    ends = [*range(0, len(images), PICTURES_AT_ONCE), len(images)]
    parts = list(itertools.pairwise(ends))
    # Two look at pictures, which is nearly all numpy's work, and this thread hashes what they find.
    with ThreadPoolExecutor(2, thread_name_prefix="checks") as pool:
        looks = [pool.submit(look, *part) for part in parts]
        for (first, last), looked in zip(parts, looks, strict=True):
            fresh = looked.result()
            for at in range(0, len(fresh), _HASHED_AT_ONCE):
                some = fresh[at : at + _HASHED_AT_ONCE]
                _hash(some, images, annotations, starts, contents)
            if done is not None:
                done(contents[first:last])
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_SIZE), len(contents), [None, pa.py_buffer(contents)]
    )
    return pa.table(
        {"image_id": images["image_id"], "content": column, "check": checks},
        schema=schemas.ROW_HASHES,
    )


def _by_image(ids: pa.Array, annotations: pa.Table) -> tuple[pa.Table, Places]:
    """Annotations in the order of pictures, then of their ids, and where those of each picture begin."""
    owners = text(annotations["image_id"])
    heads = run_starts(owners)
    places = places_in(owners.take(pa.array(heads)), ids)
    rows = np.repeat(places, np.diff(np.append(heads, len(owners))))
    names = text(annotations["annotation_id"])
    if not _is_sorted(rows, names):
        order = pc.sort_indices(
            pa.table({"place": rows, "name": names}),
            sort_keys=[("place", "ascending"), ("name", "ascending")],
        )
        annotations, rows = annotations.take(order), rows[order.to_numpy()]
    return annotations, np.searchsorted(rows, np.arange(len(ids) + 1)).astype(np.int64)


def _is_sorted(rows: Places, names: pa.Array) -> bool:
    if (rows[1:] < rows[:-1]).any():
        return False
    if len(names) < 2:
        return True
    above = pc.less_equal(names[:-1], names[1:]).to_numpy(zero_copy_only=False)
    return bool((above | (rows[1:] != rows[:-1])).all())


@dataclass(frozen=True)
class _Former:
    """Checks and contents (n, 32) of an earlier version, and where it has each picture, -1 where it does not."""

    checks: Words
    contents: Contents
    places: Places

    @classmethod
    def of(cls, known: pa.Table | None, places: Places | None) -> Self | None:
        if known is None or not known.num_rows or places is None:
            return None
        stored = flat(known["content"], pa.binary(_SIZE))
        data = np.frombuffer(stored.buffers()[1], np.uint8)[_SIZE * stored.offset :]
        checks = flat(known["check"], pa.uint64()).to_numpy()
        return cls(checks, data.reshape(-1, _SIZE), places)

    def changed(self, part: slice, checks: Words, contents: Contents) -> Places:
        """Which of some pictures are not as they were; `contents` gets those of the others."""
        places = self.places[part]
        self.contents.take(places, axis=0, out=contents, mode="clip")
        return np.flatnonzero((places < 0) | (self.checks.take(places, mode="clip") != checks))


def _hash(
    fresh: Places, images: pa.Table, annotations: pa.Table, starts: Places, contents: Contents
) -> None:
    """SHA-256 over all there is of each picture; the lengths of its values come first."""
    counts = starts[fresh + 1] - starts[fresh]
    images = _rows(images, fresh)
    own = _rows(annotations, ranges(starts[fresh], counts))
    edges = edges_of(counts)
    pictures, boxes = _picture_pieces(images), _annotation_pieces(own)
    bounds = [p.edges * p.data.itemsize for p in pictures]
    bounds += [p.edges[edges] * p.data.itemsize for p in boxes]
    used = [
        (np.ascontiguousarray(piece.data).tobytes(), bound[:-1].tolist(), bound[1:].tolist())
        for piece, bound in zip((*pictures, *boxes), bounds, strict=True)
        if len(piece.data)
    ]
    hashed = hashlib.sha256
    made = [
        hashed(b"".join([data[low[row] : high[row]] for data, low, high in used])).digest()
        for row in range(len(fresh))
    ]
    contents[fresh] = np.frombuffer(b"".join(made), np.uint8).reshape(-1, _SIZE)


def _rows(table: pa.Table, places: Places) -> pa.Table:
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return table.slice(int(places[0]), len(places))
    return table.take(pa.array(places))


def _picture_pieces(images: pa.Table) -> list[Pieces]:
    labelled = flags(images["labelled"]).astype(np.uint8)
    sizes = [lengths(images[name]) for name in PICTURE_TEXTS]
    columns = [pc.fill_null(text(images[n]), "") for n in PICTURE_TEXTS]
    joined = pc.binary_join_element_wise(*columns, pa.scalar("", pa.large_string()))
    # One piece is hashed faster than four.
    return [records([*sizes, labelled], len(images)), Pieces(*text_bytes(joined))]


def _annotation_pieces(rows: pa.Table) -> list[Pieces]:
    # Adding zero turns -0.0 into 0.0, which is the same number.
    boxes = [side + 0.0 for side in sides(rows["bbox"])]
    crowd = flags(rows["iscrowd"]).astype(np.uint8)
    names = [numbers[codes] for codes, numbers in (name_numbers(rows[n]) for n in NAMES)]
    outline_facts, outline_pieces = outlines(rows["segmentation"])
    joints, joint_counts = number_lists(rows["keypoints"])
    sizes = (lengths(rows[t]) for t in ANNOTATION_TEXTS)
    columns: list[npt.NDArray[Any]] = [
        *boxes,
        scores(rows["score"]),
        crowd,
        *names,
        *sizes,
        joint_counts,
        *outline_facts,
    ]
    texts = (strings(rows[t]) for t in ANNOTATION_TEXTS)
    return [records(columns, len(rows)), *texts, joints, *outline_pieces]


def in_order(images: pa.Table) -> pa.Table:
    """Pictures in the order of their names in exports, in which versions are fingerprinted."""
    return images if is_ascending(text(images["file_name"])) else images.sort_by("file_name")
