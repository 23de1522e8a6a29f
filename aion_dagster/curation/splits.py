"""Splits: which pictures train, validate and test, without cutting a group."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aion_dagster.errors import ConfigError
from aion_dagster.values import Loss

TRAIN: Final = "train"
VAL: Final = "val"
_CONFLICT: Final = "one group in several splits"
_PICTURES: Final = "\0pictures"
"""Counts every picture of a group, beside the counts of its labels."""


@dataclass(slots=True)
class _Group:
    name: str
    rank: bytes
    members: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        return len(self.counts) > 1


def is_conflict(loss: Loss) -> bool:
    """Whether a loss of kind "split" says that a group lies in several splits, rather than that a split is empty."""
    return loss.kind == "split" and loss.detail.startswith(_CONFLICT)


def assign_splits(
    image_ids: Sequence[str],
    groups: Sequence[str],
    label_counts: Sequence[Mapping[str, int]],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    previous: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], tuple[Loss, ...]]:
    """Assign every picture to a split; a group is never cut, and an old picture never moves.

    Greedy, after Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data" (ECML 2011), on groups
    instead of rows: the rarest label among what is left goes first, each of its groups to the split that lacks
    most of that label. Where there are two groups or more, `val` is never empty if its share is above zero, and
    has labelled pictures if there are two labelled groups. The result depends on seed and content, not on order.

    Args:
        image_ids: unique ids.
        groups: for each picture its group.
        label_counts: for each picture how often it bears each label; empty for an unlabelled picture.
        shares: split → wanted share of pictures and labels; any scale, they are divided by their sum.
        seed: another seed gives another assignment of equal quality.
        previous: image_id → split of an earlier version. Those pictures stay; the rest of their group follows them.

    Returns:
        image_id → split, and losses of kind "split": a group whose old pictures lie in several splits
        (`is_conflict`), a split that stays empty, or nothing to split at all (fewer than two groups: all train).

    Raises:
        ConfigError: a share is negative or not finite, or none is above zero.
    """
    wanted = _normalised(shares)
    collected = _collect(image_ids, groups, label_counts, seed)
    old = previous or {}
    split_of: dict[str, str] = {}
    fresh: list[_Group] = []
    losses: list[Loss] = []
    for group in collected:
        pinned = Counter([old[i] for i in group.members if i in old]) if old else None
        if pinned:
            split_of[group.name] = _home(pinned, wanted)
            losses += [_conflict(group, pinned)] if len(pinned) > 1 else []
        else:
            fresh.append(group)
    if len(collected) < 2:
        split_of.update((g.name, TRAIN) for g in fresh)
        losses.append(_nothing_to_split(len(collected)))
    else:
        _Assignment(collected, wanted, split_of).fill(fresh)
        losses += _empty_splits(wanted, split_of.values(), len(collected))
    splits = {i: old.get(i, split_of[g.name]) for g in collected for i in g.members}
    return splits, tuple(losses)


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    for name, share in shares.items():
        if not math.isfinite(share) or share < 0:
            raise ConfigError(
                f"shares: {name}={share} must be a number from 0; e.g. train=0.8 val=0.2"
            )
    total = sum(shares.values())
    if total <= 0:
        raise ConfigError(
            "shares: at least one split needs a share above 0; e.g. train=0.8 val=0.2"
        )
    return {name: share / total for name, share in shares.items() if share > 0}


def _collect(
    image_ids: Sequence[str],
    groups: Sequence[str],
    label_counts: Sequence[Mapping[str, int]],
    seed: int,
) -> list[_Group]:
    collected: dict[str, _Group] = {}
    for image_id, name, counts in zip(image_ids, groups, label_counts, strict=True):
        group = collected.get(name)
        if group is None:
            rank = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
            group = collected[name] = _Group(name, rank)
        group.members.append(image_id)
        _add(group.counts, {_PICTURES: 1})
        _add(group.counts, counts)
    return sorted(collected.values(), key=lambda g: (g.rank, g.name))


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    """What `Counter.update` does, three times as fast on small mappings."""
    for label, count in more.items():
        counts[label] = counts.get(label, 0) + count


def _home(pinned: Counter[str], wanted: Mapping[str, float]) -> str:
    """Where new members of a group with old pictures go: to most of them, then to the largest split."""
    return min(pinned, key=lambda s: (-pinned[s], -wanted.get(s, 0.0), s))


class _Assignment:
    """What each split still lacks of each label, while groups are dealt out."""

    def __init__(
        self, collected: Sequence[_Group], wanted: Mapping[str, float], split_of: dict[str, str]
    ) -> None:
        self.split_of = split_of
        self.groups = collected
        # A tie goes to the larger split, so that one group of two trains.
        self.splits = sorted(wanted, key=lambda s: (-wanted[s], s != VAL, s))
        totals: dict[str, int] = {}
        for group in collected:
            _add(totals, group.counts)
        self.lacks = {s: {k: wanted[s] * n for k, n in totals.items()} for s in self.splits}
        for group in collected:
            if group.name in split_of:
                self._take(group, split_of[group.name])

    def _take(self, group: _Group, split: str, sign: int = 1) -> None:
        if split in self.lacks:
            lacks = self.lacks[split]
            for label, count in group.counts.items():
                lacks[label] -= sign * count

    def _give(self, group: _Group, label: str) -> None:
        # A split that has all its pictures takes no more of them for the sake of a label, as long as others lack some.
        open_ones = [s for s in self.splits if self.lacks[s][_PICTURES] > 0] or self.splits
        split = max(open_ones, key=lambda s: (self.lacks[s][label], self.lacks[s][_PICTURES]))
        self.split_of[group.name] = split
        self._take(group, split)

    def fill(self, fresh: list[_Group]) -> None:
        """Deal out the groups that no earlier version has placed."""
        bearing: dict[str, list[_Group]] = {}
        for group in fresh:
            for label in group.counts:
                bearing.setdefault(label, []).append(group)
        left = {label: len(bearers) for label, bearers in bearing.items()}
        while left:
            label = min(left, key=lambda k: (k == _PICTURES, left[k], k))
            # Large groups first, as long as there is room to make up for them.
            for group in sorted(bearing[label], key=lambda g: -g.counts[label]):
                if group.name not in self.split_of:
                    self._give(group, label)
                    for other in group.counts:
                        left[other] -= 1
            left = {k: n for k, n in left.items() if n > 0}
        for split in dict.fromkeys([TRAIN, VAL]):
            self._ensure(split, fresh, labelled=False)
        self._ensure(VAL, fresh, labelled=True)

    def _ensure(self, split: str, fresh: Sequence[_Group], *, labelled: bool) -> None:
        """Give `split` a (labelled) group if it has none, the smallest one that its split can spare."""
        if split not in self.lacks:
            return
        held = Counter(self.split_of[g.name] for g in self.groups if g.labelled or not labelled)
        if held[split]:
            return
        spare = [
            g for g in fresh if (g.labelled or not labelled) and held[self.split_of[g.name]] > 1
        ]
        if spare:
            group = min(spare, key=lambda g: (len(g.members), g.rank, g.name))
            self._take(group, self.split_of[group.name], sign=-1)
            self.split_of[group.name] = split
            self._take(group, split)


def _conflict(group: _Group, pinned: Counter[str]) -> Loss:
    places = ", ".join(f"{count} in {split}" for split, count in sorted(pinned.items()))
    return Loss(
        "split",
        group.name,
        f"{_CONFLICT}: a new link joins pictures that earlier versions placed apart ({places}); "
        "they stay where they were",
    )


def _nothing_to_split(count: int) -> Loss:
    return Loss(
        "split",
        "dataset",
        f"{count} group{'' if count == 1 else 's'}: nothing to split, all pictures train, and val repeats train",
    )


def _empty_splits(wanted: Mapping[str, float], used: Iterable[str], groups: int) -> list[Loss]:
    taken = set(used)
    return [
        Loss("split", split, f"stays empty: {groups} groups are too few, or all are placed already")
        for split in wanted
        if split not in taken
    ]
