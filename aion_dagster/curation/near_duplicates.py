"""Near-duplicates: groups of pictures whose perceptual hashes differ in a few bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.curation.linking import link, roots_of
from aion_dagster.errors import AionError

DEFAULT_DISTANCE: Final = 4
"""Bits that two 64-bit hashes of one picture may differ in (recompressed, resized, slightly brighter)."""

BUCKET_LIMIT: Final = 512
"""Buckets up to this size are compared pair by pair; larger ones are divided again."""

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


class InvalidHashError(AionError):
    """A perceptual hash is not 16 hexadecimal digits."""


def near_duplicate_groups(
    image_ids: Sequence[str],
    phashes: Sequence[str | None],
    areas: Sequence[int],
    *,
    distance: int = DEFAULT_DISTANCE,
) -> pa.Table:
    """Group pictures that are linked by pairs of hashes at most `distance` bits apart.

    Every pair within the distance is found (no approximation); groups are the connected components of those
    pairs, so two members of a group may be further apart than `distance`. The representative has the largest
    area, then the smallest image_id, and gives the group its id. The result does not depend on the order of rows.

    Args:
        image_ids: unique ids.
        phashes: 64-bit hashes as 16 hexadecimal digits; None where a picture has none (it joins no group).
        areas: width x height in pixels.
        distance: Hamming distance in bits, 0 to 16.

    Returns:
        Schema `NEAR_DUPLICATES`, only pictures that have a near-duplicate, sorted by group, then image.

    Raises:
        InvalidHashError: a hash is not 16 hexadecimal digits.
        ValueError: the sequences differ in length, or `distance` is out of range.
    """
    if not len(image_ids) == len(phashes) == len(areas):
        raise ValueError("image_ids, phashes and areas must have the same length")
    if not 0 <= distance <= 16:
        raise ValueError(f"distance must be 0 to 16 bits, got {distance}")
    known = [i for i, phash in enumerate(phashes) if phash is not None]
    hashes = _parse([(image_ids[i], phashes[i] or "") for i in known])
    unique, inverse = np.unique(hashes, return_inverse=True)
    component = _components(unique, distance)[inverse]
    return _table(
        np.array([image_ids[i] for i in known], dtype=object),
        hashes,
        np.array([areas[i] or 0 for i in known], dtype=np.int64),
        component,
    )


def _parse(rows: Sequence[tuple[str, str]]) -> Hashes:
    for image_id, phash in rows:
        if len(phash) != 16 or not phash.isalnum():
            raise InvalidHashError(
                f"picture {image_id}: perceptual hash {phash!r} is not 16 hexadecimal digits; "
                "compute the images table of its batch again"
            )
    try:
        raw = bytes.fromhex("".join(phash for _, phash in rows))
    except ValueError as error:
        raise InvalidHashError(f"a perceptual hash is not hexadecimal: {error}") from error
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64)


def _components(hashes: Hashes, distance: int) -> Places:
    """The component of each of the given hashes (distinct), as the place of its smallest member.

    Two hashes within `distance` bits agree in at least one of `distance + 1` chunks of their bits (pigeonhole), so
    only members of one bucket (equal in a chunk) need to be compared: Norouzi, Punjani, Fleet, "Fast search in
    Hamming space with multi-index hashing", CVPR 2012. A bucket above `BUCKET_LIMIT` is not cut short, which would
    lose pairs, but divided by the same argument: its members agree in all bits that do not vary inside it, so the
    bits that do vary are chunked anew, which is exact again and gives strictly smaller buckets. Pairs inside one
    component need no comparison, so a bucket that is one component but for a few members costs only those few.
    """
    parent = np.arange(len(hashes), dtype=np.int64)
    buckets = [np.arange(len(hashes), dtype=np.int64)]
    while buckets:
        places = buckets.pop()
        outside = _outside_the_largest_component(parent, places)
        values = hashes[places]
        varying = _bits(np.bitwise_or.reduce(values ^ values[:1]))
        if len(varying) <= distance:
            link(parent, places[:-1], places[1:])
        elif len(outside) <= BUCKET_LIMIT:
            for place in outside:
                close = places[np.bitwise_count(values ^ hashes[place]) <= distance]
                link(parent, close[:-1], close[1:])
        else:
            buckets += _divide(parent, places, values, varying, distance)
    return roots_of(parent, np.arange(len(hashes), dtype=np.int64))


def _outside_the_largest_component(parent: Places, places: Places) -> Places:
    roots, counts = np.unique(of := roots_of(parent, places), return_counts=True)
    return places[of != roots[np.argmax(counts)]] if len(places) else places


def _bits(mask: np.uint64) -> list[int]:
    return [bit for bit in range(64) if int(mask) >> bit & 1]


def _divide(
    parent: Places, places: Places, values: Hashes, varying: list[int], distance: int
) -> Iterator[Places]:
    """Link the close pairs inside the small buckets of each chunk, and yield the large buckets."""
    for chunk in range(distance + 1):
        # Neighbouring bits of a perceptual hash are correlated; dealing them out keeps the buckets even.
        mask = np.uint64(sum(1 << bit for bit in varying[chunk :: distance + 1]))
        order = np.argsort(values & mask, kind="stable")
        keys = (values & mask)[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        sizes = np.diff(np.append(starts, len(keys)))
        # How many members of its bucket follow each place; none in a large bucket.
        following = np.repeat(starts + sizes, sizes) - np.arange(len(keys)) - 1
        following[np.repeat(sizes > BUCKET_LIMIT, sizes)] = 0
        for first, second in _close_pairs(values[order], following, distance):
            link(parent, places[order[first]], places[order[second]])
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            if size > BUCKET_LIMIT:
                yield places[order[start : start + size]]


def _close_pairs(
    values: Hashes, following: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """Pairs (i, i + k), k = 1 … following[i], whose values differ in at most `distance` bits, per k."""
    alive = np.flatnonzero(following > 0)
    offset = 0
    while len(alive):
        offset += 1
        close = np.bitwise_count(values[alive] ^ values[alive + offset]) <= distance
        yield alive[close], alive[close] + offset
        alive = alive[following[alive] > offset]


def _table(
    image_ids: npt.NDArray[np.object_], hashes: Hashes, areas: Places, component: Places
) -> pa.Table:
    """Rows of the components with two members or more."""
    _, component, counts = np.unique(component, return_inverse=True, return_counts=True)
    keep = np.flatnonzero(counts[component] > 1)
    # Best first inside each component: largest area, then smallest id.
    by_id = keep[np.argsort(image_ids[keep], kind="stable")]
    ranked = by_id[np.lexsort((-areas[by_id], component[by_id]))]
    parts = component[ranked]
    is_first = np.concatenate(([True], parts[1:] != parts[:-1])) if len(ranked) else parts != parts
    leader = ranked[is_first][np.cumsum(is_first) - 1]
    table = pa.table(
        {
            "image_id": pa.array(image_ids[ranked], pa.string()),
            "group_id": pa.array(image_ids[leader], pa.string()),
            "group_size": pa.array(counts[parts].astype(np.int32)),
            "distance": pa.array(
                np.bitwise_count(hashes[ranked] ^ hashes[leader]).astype(np.int32)
            ),
            "is_representative": pa.array(is_first),
        },
        schema=schemas.NEAR_DUPLICATES,
    )
    return table.sort_by([("group_id", "ascending"), ("image_id", "ascending")])
