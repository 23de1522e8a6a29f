"""Which 64-bit hashes lie within a few bits of each other: all of them, or new ones among known ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from aion_dagster.curation.linking import Places, all_roots, link, roots_of

BUCKET_LIMIT: Final = 512
"""Buckets up to this size are compared pair by pair; larger ones are divided again."""

PAIR_LIMIT: Final = 200_000_000
"""Pairs of a new and a known hash that are compared at most; beyond them it is faster to begin anew."""

FEW: Final = 16
"""New hashes are looked for with a bit flipped where there are that many known ones for each of them, or more."""

_PAIRS_AT_ONCE: Final = 2_000_000
_MOST_CHUNKS: Final = 3
_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_SPARSE: Final = 6
_SIEVES: Final = (10, 21)
_CACHED: Final = 1 << 16
_SIDE_BY_SIDE: Final = 3
_FLIPPED: Final = range(2, 6)
"""Distances for which new hashes may be looked for with a bit flipped."""

Hashes = npt.NDArray[np.uint64]
_Probe = tuple[np.uint64, npt.NDArray[np.uint64]]
"""A mask, and the bits of which one at a time is flipped."""


def components(hashes: Hashes, distance: int) -> Places:
    """The component of each of the given hashes (distinct), as the place of its smallest member.

    Two hashes within `distance` bits agree in k of `distance + k` chunks of their bits (pigeonhole), so only members
    of one bucket (equal in k chunks) need to be compared: Norouzi, Punjani, Fleet, "Fast search in Hamming space with
    multi-index hashing", CVPR 2012. A bucket above `BUCKET_LIMIT` is not cut short, which would lose pairs, but
    divided by the same argument: its members agree in all bits that do not vary inside it, so the bits that do vary
    are chunked anew, which is exact again and gives strictly smaller buckets. Pairs inside one component need no
    comparison, so a bucket that is one component but for a few members costs only those few.
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
    return all_roots(parent)


def links_to_known(
    fresh: Hashes, known: Hashes, distance: int
) -> Iterator[tuple[Places, Places]] | None:
    """Pairs (place in `fresh`, place in `known`) within `distance` bits; some of them more than once.

    Returns:
        None where more than `PAIR_LIMIT` pairs would have to be compared.
    """
    found: list[tuple[Places, Places]] = []
    room = PAIR_LIMIT
    probes = _probes(len(fresh), len(known), distance)
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="links") as pool:
        while some := list(itertools.islice(probes, _SIDE_BY_SIDE)):
            for order, near, low, counts in pool.map(partial(_candidates, fresh, known), some):
                room -= int(counts.sum())
                if room < 0:
                    return None
                for part in _parts(counts):
                    places = np.repeat(near[part], counts[part])
                    mine = order[_ranges(low[part], counts[part])]
                    close = np.bitwise_count(fresh[mine] ^ known[places]) <= distance
                    found.append((mine[close], places[close]))
    return iter(found)


def _candidates(
    fresh: Hashes, known: Hashes, probe: _Probe
) -> tuple[Places, Places, Places, Places]:
    """Known hashes that share a key with new ones.

    Returns:
        The new hashes in the order of their keys (once for each flip); then for each of the known ones its place, where in
        that order those with its key begin, and how many they are.
    """
    ranked, order = _wanted(fresh, *probe)
    # Few of the known hashes share a key with a new one.
    others, near = _sifted(ranked, known, probe[0])
    low = np.searchsorted(ranked, others, side="left")
    same = ranked.take(low, mode="clip") == others
    near, others, low = near[same], others[same], low[same]
    return order, near, low, np.searchsorted(ranked, others, side="right") - low


def _probes(fresh: int, known: int, distance: int) -> Iterator[_Probe]:
    """Masks under which hashes within the distance agree, but for the bits of one of the flips that come with it."""
    nothing = np.zeros(1, np.uint64)
    if distance not in _FLIPPED or fresh * FEW > known:
        yield from ((mask, nothing) for mask in _masks(list(range(64)), distance, known))
        return
    # Of d // 2 + 1 chunks, one has at most one of d bits. So few chunks are wide enough to tell most hashes apart.
    chunks = distance // 2 + 1
    for chunk in range(chunks):
        bits = range(chunk, 64, chunks)
        flips = np.array([0, *(1 << bit for bit in bits)], np.uint64)
        yield np.uint64(sum(1 << bit for bit in bits)), flips


def _wanted(fresh: Hashes, mask: np.uint64, flips: npt.NDArray[np.uint64]) -> tuple[Hashes, Places]:
    """The keys of all new hashes with each of some bits flipped, in ascending order, and whose each is."""
    keys = _keys((fresh[:, None] ^ flips).ravel(), mask)
    keys <<= _HALF
    keys |= np.repeat(np.arange(len(fresh), dtype=np.uint64), len(flips))
    keys.sort()
    return keys >> _HALF, (keys & _LOW).astype(np.int64)


def _sifted(ranked: Hashes, known: Hashes, mask: np.uint64) -> tuple[Hashes, Places]:
    """Keys, in ascending order, and places of those known hashes whose keys have upper bits that a wanted one has."""
    # A sieve of so many bits that few of them are set.
    bits = int(np.clip(len(ranked).bit_length() + _SPARSE, *_SIEVES))
    sieve = np.zeros(1 << bits, dtype=bool)
    sieve[ranked >> np.uint64(32 - bits)] = True
    found = []
    for start in range(0, len(known), _CACHED):
        keys = known[start : start + _CACHED] & mask
        keys *= _MIXER
        keys >>= _HALF
        near = np.flatnonzero(sieve.take((keys >> np.uint64(32 - bits)).view(np.int64)))
        keys = keys[near] << _HALF
        keys |= near.view(np.uint64) + np.uint64(start)
        found.append(keys)
    packed = np.concatenate([np.zeros(0, np.uint64), *found])
    packed.sort()
    return packed >> _HALF, (packed & _LOW).astype(np.int64)


def _parts(counts: Places) -> Iterator[slice]:
    """Slices of `counts` that add up to few enough pairs at a time."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop)
        start = stop


def _ranges(starts: Places, counts: Places) -> Places:
    """start, start + 1, … for each start, one after the other."""
    before = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()), dtype=np.int64)


def _outside_the_largest_component(parent: Places, places: Places) -> Places:
    of = roots_of(parent, places)
    if np.array_equal(of, places):  # nothing is linked yet
        return places[1:]
    roots, counts = np.unique(of, return_counts=True)
    outside: Places = places[of != roots[np.argmax(counts)]]
    return outside


def _bits(mask: np.uint64) -> list[int]:
    return [bit for bit in range(64) if int(mask) >> bit & 1]


def _masks(bits: list[int], distance: int, size: int) -> list[np.uint64]:
    """Masks of which two values that differ in at most `distance` of `bits` agree under one at least.

    Each takes as many chunks as give about one of `size` values a bucket, if the bits suffice for that.
    """
    wanted = max(size, 2).bit_length()
    taken = 1
    while (
        taken < _MOST_CHUNKS
        and len(bits) > distance + taken
        and len(bits) * taken < wanted * (distance + taken)
    ):
        taken += 1
    # Neighbouring bits of a perceptual hash are correlated; dealing them out keeps the buckets even.
    chunks = [bits[i :: distance + taken] for i in range(distance + taken)]
    return [
        np.uint64(sum(1 << bit for chunk in chosen for bit in chunk))
        for chosen in itertools.combinations(chunks, taken)
    ]


def _keys(values: Hashes, mask: np.uint64) -> Hashes:
    """Equal where the bits under the mask are, and 32 bits wide; different bits may give the same."""
    return ((values & mask) * _MIXER) >> _HALF


def _divide(
    parent: Places, places: Places, values: Hashes, varying: list[int], distance: int
) -> Iterator[Places]:
    """Link the close pairs inside the small buckets of each mask, and yield the large buckets."""
    numbers = np.arange(len(values), dtype=np.uint64)
    for mask in _masks(varying, distance, len(values)):
        packed = (_keys(values, mask) << _HALF) | numbers
        packed.sort()
        order = (packed & _LOW).astype(np.int64)
        keys = packed >> _HALF
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        sizes = np.diff(np.append(starts, len(keys)))
        several = np.flatnonzero(sizes > 1)
        starts, sizes = starts[several], sizes[several]
        small = sizes <= BUCKET_LIMIT
        for first, second in _close_pairs(values[order], starts[small], sizes[small], distance):
            link(parent, places[order[first]], places[order[second]])
        for start, size in zip(starts[~small].tolist(), sizes[~small].tolist(), strict=True):
            yield from _exactly(places[order[start : start + size]], values[order[start : start + size]] & mask)  # fmt: skip


def _exactly(places: Places, masked: Hashes) -> Iterator[Places]:
    """Members of one bucket apart by what is really under the mask."""
    values, codes = np.unique(masked, return_inverse=True)
    for code in range(len(values)):
        yield places[codes == code]


def _close_pairs(
    values: Hashes, starts: Places, sizes: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """Pairs of places inside each bucket whose values differ in at most `distance` bits, offset by offset."""
    alive = _ranges(starts, sizes)
    # How many members of its bucket follow each place.
    following = np.repeat(starts + sizes, sizes) - alive - 1
    offset = 0
    while True:
        alive, following = alive[following > offset], following[following > offset]
        if not len(alive):
            return
        offset += 1
        close = np.bitwise_count(values[alive] ^ values[alive + offset]) <= distance
        yield alive[close], alive[close] + offset
