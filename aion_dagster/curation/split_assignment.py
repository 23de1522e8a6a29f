"""The greedy assignment of groups to splits, over arrays."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aion_dagster.curation.linking import Places

TRAIN: Final = "train"
VAL: Final = "val"

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bearers:
    """How often groups bear labels: rows (group, label, count), sorted by group, then label; every row once.

    The last label stands for pictures: each group bears it once per member.
    """

    groups: Places
    labels: Codes
    counts: Codes
    label_count: int

    @classmethod
    def of(cls, members: Places, owners: Places, labels: Codes, kinds: int) -> Bearers:
        """Count the labels of pictures by group.

        Args:
            members: the group of each picture.
            owners: the group of the picture of each label that is there.
            labels: the label, from 0; sorted like the labels' names.
            kinds: how many labels there are.
        """
        width = kinds + 1
        keys = np.concatenate([owners * width + labels, members * width + kinds])
        unique, counts = np.unique(keys, return_counts=True)
        return cls(unique // width, unique % width, counts.astype(np.int64), width)


def ranks(names: Sequence[str], seed: int) -> Places:
    """The order in which groups of these names are looked at, which a seed decides."""
    tags = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names]
    numbers = np.frombuffer(b"".join(tags), ">u8").astype(np.uint64)
    order = np.argsort(numbers, kind="stable")
    if len(np.unique(numbers)) < len(numbers):
        order = np.array(sorted(range(len(names)), key=lambda i: (tags[i], names[i])), np.int64)
    return order.astype(np.int64)


def deal_out(
    bearers: Bearers,
    fresh: Places,
    totals: Codes,
    taken: Sequence[Codes],
    held: Mapping[bool, Codes],
    splits: Sequence[str],
    wanted: Sequence[float],
) -> npt.NDArray[np.int8]:
    """The split of each fresh group.

    Greedy, after Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data" (ECML 2011), on groups
    instead of rows: the rarest label among what is left goes first, each of its groups, the large ones first, to the
    split that lacks most of that label. A split that has all its pictures takes no more of them for the sake of a
    label, as long as others lack some.

    Args:
        bearers: of the fresh groups.
        fresh: the groups to deal out, in the order in which equals are looked at.
        totals: how often each label occurs, in fresh and old groups.
        taken: for each split, how often in the old groups that it has.
        held: how many old groups each split has: of all (False), and of those with labels (True).
        splits: names, the preferred of equals first.
        wanted: the share of each split.
    """
    lacks = [(share * totals - have).tolist() for share, have in zip(wanted, taken, strict=True)]
    chosen = _Fresh.of(bearers, fresh)
    given = _give(chosen, lacks)
    _ensure(chosen, given, held, list(splits))
    return given


@dataclass(frozen=True)
class _Fresh:
    """Fresh groups numbered in their order, with their labels one after the other, and the bearers of each label."""

    starts: Places
    labels: Codes
    counts: Codes
    by_label: list[npt.NDArray[np.int64]]
    left: Codes
    sizes: Codes
    is_labelled: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, bearers: Bearers, fresh: Places) -> _Fresh:
        total = int(bearers.groups.max(initial=-1)) + 1
        number = np.full(total, -1, dtype=np.int64)
        number[fresh] = np.arange(len(fresh))
        own = number[bearers.groups]
        kept = own >= 0
        own, labels, counts = own[kept], bearers.labels[kept], bearers.counts[kept]
        order = np.argsort(own, kind="stable")
        own, labels, counts = own[order], labels[order], counts[order]
        starts = np.searchsorted(own, np.arange(len(fresh) + 1))
        last = bearers.label_count - 1
        # Large groups first, as long as there is room to make up for them.
        ranked = np.lexsort((own, -counts, labels))
        edges = np.searchsorted(labels[ranked], np.arange(bearers.label_count + 1))
        groups = own[ranked]
        return cls(
            starts,
            labels,
            counts,
            [groups[a:b] for a, b in itertools.pairwise(edges.tolist())],
            np.bincount(labels, minlength=bearers.label_count).astype(np.int64),
            counts[labels == last],
            np.diff(starts) > 1,
        )


def _give(fresh: _Fresh, lacks: list[list[float]]) -> npt.NDArray[np.int8]:
    """The split of each fresh group."""
    given = [-1] * (len(fresh.starts) - 1)
    left = fresh.left.astype(np.float64)
    left[left == 0] = np.inf
    last = len(left) - 1
    # One group after the other, in plain numbers: an array's own are slower to get at.
    starts, labels, counts = fresh.starts.tolist(), fresh.labels.tolist(), fresh.counts.tolist()
    while True:
        # Pictures come last, when everything that bears a label has its place.
        label = int(np.argmin(left[:-1])) if last else last
        if last and not np.isfinite(left[label]):
            label = last
        if not np.isfinite(left[label]):
            return np.array(given, dtype=np.int8)
        done: list[int] = []
        for group in fresh.by_label[label].tolist():
            if given[group] < 0:
                given[group] = _choose(lacks, label, last)
                row = lacks[given[group]]
                for place in range(starts[group], starts[group + 1]):
                    row[labels[place]] -= counts[place]
                done.append(group)
        _subtract(left, fresh, done)
        left[label] = np.inf


def _choose(lacks: list[list[float]], label: int, last: int) -> int:
    """The split that lacks most of a label, then most pictures, among those that lack pictures at all."""
    best, most, pictures = -1, 0.0, 0.0
    for split, row in enumerate(lacks):
        room = row[last]
        if room > 0 and (best < 0 or row[label] > most or (row[label] == most and room > pictures)):
            best, most, pictures = split, row[label], room
    if best >= 0:
        return best
    return max(range(len(lacks)), key=lambda s: (lacks[s][label], lacks[s][last], -s))


def _subtract(left: npt.NDArray[np.float64], fresh: _Fresh, done: list[int]) -> None:
    """Take the labels of groups that have their split from what is left."""
    if not done:
        return
    groups = np.array(done, dtype=np.int64)
    rows = _rows(fresh.starts[groups], fresh.starts[groups + 1])
    labels = fresh.labels[rows]
    gone = np.bincount(labels, minlength=len(left))
    left -= gone
    left[left <= 0] = np.inf


def _rows(starts: Places, ends: Places) -> Places:
    counts = ends - starts
    before = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def _ensure(
    fresh: _Fresh,
    given: npt.NDArray[np.int8],
    held: Mapping[bool, Codes],
    splits: list[str],
) -> None:
    """Where it can be had, `train` and `val` get a group, and `val` a labelled one: the smallest that can be spared."""
    for name, needs_labels in ((TRAIN, False), (VAL, False), (VAL, True)):
        if name not in splits:
            continue
        split = splits.index(name)
        mask = fresh.is_labelled if needs_labels else np.ones(len(given), dtype=bool)
        have = held[needs_labels] + np.bincount(given[mask], minlength=len(splits))
        if have[split]:
            continue
        spare = np.flatnonzero(mask & (have[given] > 1))
        if len(spare):
            given[spare[np.argmin(fresh.sizes[spare])]] = split
