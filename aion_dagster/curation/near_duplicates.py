"""Near-duplicates: groups of pictures whose perceptual hashes differ in a few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.columns import Column, flat, is_ascending, one_text, parse_hex, places_in
from aion_dagster.curation.hash_links import Hashes, components, links_to_known
from aion_dagster.curation.linking import Places, all_roots, link, link_equal
from aion_dagster.errors import AionError

DEFAULT_DISTANCE: Final = 4
"""Bits that two 64-bit hashes of one picture may differ in (recompressed, resized, slightly brighter)."""

INDEX: Final = pa.schema(
    [("image_id", pa.string()), ("hash", pa.uint64()), ("component", pa.int64())]
)
"""One row per picture with a hash, in ascending order of ids; `component` is the row of the first member of its group,
its own row where it has none."""


class InvalidHashError(AionError):
    """A perceptual hash is not 16 hexadecimal digits."""


@dataclass(frozen=True)
class NearDuplicates:
    """`table`: schema `NEAR_DUPLICATES`; `index`: schema `INDEX`, what a later call goes on from.

    `compared`: how many pictures were compared with all others.
    """

    table: pa.Table
    index: pa.Table
    compared: int


def near_duplicate_groups(
    image_ids: Column,
    phashes: Column,
    areas: Column,
    *,
    distance: int = DEFAULT_DISTANCE,
) -> pa.Table:
    """The table of `find_near_duplicates`, begun anew."""
    return find_near_duplicates(image_ids, phashes, areas, distance=distance).table


def find_near_duplicates(
    image_ids: Column,
    phashes: Column,
    areas: Column,
    *,
    distance: int = DEFAULT_DISTANCE,
    earlier: pa.Table | None = None,
) -> NearDuplicates:
    """Group pictures that are linked by pairs of hashes at most `distance` bits apart.

    Every pair within the distance is found (no approximation); groups are the connected components of those
    pairs, so two members of a group may be further apart than `distance`. The representative has the largest
    area, then the smallest image_id, and gives the group its id. The result depends neither on the order of rows nor
    on `earlier`, which only saves comparisons.

    Args:
        image_ids: unique ids.
        phashes: 64-bit hashes as 16 hexadecimal digits; None where a picture has none (it joins no group).
        areas: width x height in pixels.
        distance: Hamming distance in bits, 0 to 16.
        earlier: the index of an earlier call with the same distance.

    Raises:
        InvalidHashError: a hash is not 16 hexadecimal digits.
        ValueError: the columns differ in length, or `distance` is out of range.
    """
    if not len(image_ids) == len(phashes) == len(areas):
        raise ValueError("image_ids, phashes and areas must have the same length")
    if not 0 <= distance <= 16:
        raise ValueError(f"distance must be 0 to 16 bits, got {distance}")
    ids, texts = one_text(image_ids), one_text(phashes)
    sizes = pc.fill_null(flat(areas, pa.int64()), 0)
    if texts.null_count:
        known = pc.is_valid(texts)
        ids, texts, sizes = ids.filter(known), texts.filter(known), sizes.filter(known)
    hashes = _parsed(ids, texts)
    if not is_ascending(ids):
        order = pc.sort_indices(ids)
        ids, sizes, hashes = ids.take(order), sizes.take(order), hashes[order.to_numpy()]
    component, compared = _grown(ids, hashes, distance, earlier)
    index = pa.table(
        {"image_id": ids.cast(pa.string()), "hash": hashes, "component": component}, schema=INDEX
    )
    return NearDuplicates(_table(ids, hashes, sizes.to_numpy(), component), index, compared)


def _parsed(ids: pa.Array, texts: pa.Array) -> Hashes:
    hashes, wrong = parse_hex(texts)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidHashError(
            f"picture {ids[row].as_py()}: perceptual hash {texts[row].as_py()!r} is not 16 hexadecimal digits; "
            "compute the images table of its batch again"
        )
    return hashes


def _grown(
    ids: pa.Array, hashes: Hashes, distance: int, earlier: pa.Table | None
) -> tuple[Places, int]:
    """The component of each picture, named by its first member, and how many pictures were compared with all."""
    if earlier is not None and earlier.num_rows:
        parent, fresh = _kept(ids, hashes, earlier)
        if 2 * np.count_nonzero(fresh) < len(fresh) and _join(parent, hashes, fresh, distance):
            return all_roots(parent), int(np.count_nonzero(fresh))
    return _from_nothing(hashes, distance), len(hashes)


def _from_nothing(hashes: Hashes, distance: int) -> Places:
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    component = components(unique, distance)[inverse]
    # Components are numbered by hash; rename each to the first of its rows.
    lowest = np.full(len(unique), len(hashes), dtype=np.int64)
    np.minimum.at(lowest, component[first], first)
    return lowest[component]


def _kept(ids: pa.Array, hashes: Hashes, earlier: pa.Table) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Components that are as they were, and which rows have to be compared with all others.

    A group that lost a member, or whose member has another hash now, may fall apart: its members are compared anew.
    """
    where = places_in(ids, earlier["image_id"])
    before, was = earlier["hash"].to_numpy(), earlier["component"].to_numpy()
    fresh = (where < 0) | (before.take(where, mode="clip") != hashes)
    old = np.flatnonzero(~fresh)
    kept = where[old]
    group = was[kept]
    gone = np.ones(len(before), dtype=bool)
    gone[kept] = False
    if gone.any():
        broken = np.zeros(len(before), dtype=bool)
        broken[was[gone]] = True
        loose = broken[group]
        # Alone in its group, the lost one leaves nobody behind; the others are looked at again.
        fresh[old[loose]] = True
        old, group, kept = old[~loose], group[~loose], kept[~loose]
    parent = np.arange(len(ids), dtype=np.int64)
    place = np.full(len(before), -1, dtype=np.int64)
    place[kept] = old
    follows = np.flatnonzero(group != kept)  # few do
    parent[old[follows]] = place[group[follows]]
    return parent, fresh


def _join(parent: Places, hashes: Hashes, fresh: npt.NDArray[np.bool_], distance: int) -> bool:
    """Link new rows with each other and with the known ones; False where beginning anew is faster."""
    new = np.flatnonzero(fresh)
    if not len(new):
        return True
    values, inverse = np.unique(hashes[new], return_inverse=True)
    place = np.empty(len(values), dtype=np.int64)
    place[inverse[::-1]] = new[::-1]
    link_equal(parent, new, inverse.astype(np.int64))
    own = components(values, distance)
    link(parent, place[own], place)
    old = _one_per_hash(parent, hashes, fresh)
    pairs = links_to_known(values, hashes[old], distance)
    if pairs is None:
        return False
    for mine, theirs in pairs:
        link(parent, place[mine], old[theirs])
    return True


def _one_per_hash(parent: Places, hashes: Hashes, fresh: npt.NDArray[np.bool_]) -> Places:
    """Known rows without repetitions of a hash, which occur inside a group only."""
    several = np.zeros(len(parent), dtype=bool)
    follows = np.flatnonzero(parent != np.arange(len(parent)))
    several[follows] = several[parent[follows]] = True
    together = np.flatnonzero(several & ~fresh)
    _, first = np.unique(hashes[together], return_index=True)
    return np.concatenate([np.flatnonzero(~(several | fresh)), together[first]])


def _table(ids: pa.Array, hashes: Hashes, areas: Places, component: Places) -> pa.Table:
    """Rows of the components with two members or more; `ids` are ascending."""
    several = component != np.arange(len(component))
    several[component[several]] = True
    rows = np.flatnonzero(several)
    sizes = np.bincount(component[rows], minlength=len(component))
    # Best first inside each component: largest area, then smallest id, in whose order rows are already.
    ranked = rows[np.lexsort((-areas[rows], component[rows]))]
    parts = component[ranked]
    is_first = np.ones(len(ranked), dtype=bool)
    is_first[1:] = parts[1:] != parts[:-1]
    leader = ranked[is_first][np.cumsum(is_first) - 1] if len(ranked) else ranked
    order = np.argsort(leader * len(ids) + ranked)
    ranked, leader, is_first = ranked[order], leader[order], is_first[order]
    return pa.table(
        {
            "image_id": ids.take(pa.array(ranked)).cast(pa.string()),
            "group_id": ids.take(pa.array(leader)).cast(pa.string()),
            "group_size": sizes[component[ranked]].astype(np.int32),
            "distance": np.bitwise_count(hashes[ranked] ^ hashes[leader]).astype(np.int32),
            "is_representative": is_first,
        },
        schema=schemas.NEAR_DUPLICATES,
    )
