"""Splits: which pictures train, validate and test, without cutting a group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aion_dagster.curation.linking import Places
from aion_dagster.curation.split_assignment import (
    TRAIN,
    VAL,
    Bearers,
    deal_out,
    ranks,
)
from aion_dagster.errors import ConfigError
from aion_dagster.values import Loss

_CONFLICT: Final = "one group in several splits"
LABELS_AT_ONCE: Final = 1 << 16
"""Labels counted at a time: what is made on the way stays small."""

UNPLACED: Final = -1
"""The code of a picture that no earlier version has placed."""


@dataclass(frozen=True)
class Labelling:
    """Which picture bears which label: places of pictures and codes of labels, once for every time.

    Codes are places in `names`, which are sorted.
    """

    places: Places
    codes: npt.NDArray[np.signedinteger[Any]]
    names: Sequence[str]


@dataclass(frozen=True)
class Earlier:
    """Where pictures were before: a code in `splits` for each picture, `UNPLACED` for new ones."""

    codes: npt.NDArray[np.int8]
    splits: Sequence[str]


def is_conflict(loss: Loss) -> bool:
    """Whether a loss of kind "split" says that a group lies in several splits, rather than that a split is empty."""
    return loss.kind == "split" and loss.detail.startswith(_CONFLICT)


def split_pictures(
    groups: Places,
    names: pa.Array,
    labelling: Labelling,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    earlier: Earlier | None = None,
) -> tuple[npt.NDArray[np.int8], tuple[str, ...], tuple[Loss, ...]]:
    """Assign every picture to a split; a group is never cut, and an old picture never moves.

    Where there are two groups or more, `val` is never empty if its share is above zero, and has labelled pictures if
    there are two labelled groups. The result depends on seed and content, not on the order of pictures.

    Args:
        groups: for each picture its group, from 0 without gaps.
        names: of the groups.
        labelling: which labels pictures bear; a picture without any is unlabelled.
        shares: split → wanted share of pictures and labels; any scale, they are divided by their sum.
        seed: another seed gives another assignment of equal quality.
        earlier: pictures that have a split already. They stay; the rest of their group follows them.

    Returns:
        For each picture a code, the splits that codes stand for, and losses of kind "split": a group whose old
        pictures lie in several splits (`is_conflict`), a split that stays empty, or nothing to split at all (fewer
        than two groups: all train).

    Raises:
        ConfigError: a share is negative or not finite, or none is above zero.
    """
    wanted = _normalised(shares)
    # A tie goes to the larger split, so that one group of two trains.
    splits = sorted(wanted, key=lambda s: (-wanted[s], s != VAL, s))
    known = () if earlier is None else earlier.splits
    vocabulary = tuple(dict.fromkeys([*splits, *known, TRAIN]))
    before = _recoded(earlier, vocabulary, len(groups))
    split_of, losses = _homes(groups, names, before, vocabulary, wanted)
    fresh = np.flatnonzero(split_of < 0)
    if len(names) < 2:
        split_of[fresh] = vocabulary.index(TRAIN)
        losses.append(_nothing_to_split(len(names)))
    else:
        split_of[fresh] = _dealt(groups, names, labelling, split_of, fresh, splits, wanted, seed)
        counts = np.bincount(split_of, minlength=len(vocabulary))
        used = {vocabulary[code] for code in np.flatnonzero(counts).tolist()}
        losses += _empty_splits(wanted, used, len(names))
    return np.where(before >= 0, before, split_of[groups]), vocabulary, tuple(losses)


def assign_splits(
    image_ids: Sequence[str],
    groups: Sequence[str],
    label_counts: Sequence[Mapping[str, int]],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    previous: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], tuple[Loss, ...]]:
    """`split_pictures` for rows instead of arrays.

    Args:
        image_ids: unique ids.
        groups: for each picture its group.
        label_counts: for each picture how often it bears each label; empty for an unlabelled picture.
        shares: split → wanted share.
        seed: another seed gives another assignment of equal quality.
        previous: image_id → split of an earlier version.

    Returns:
        image_id → split, and losses.

    Raises:
        ConfigError: a share is negative or not finite, or none is above zero.
    """
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    labels = sorted({label for counts in label_counts for label in counts})
    label_code = {label: code for code, label in enumerate(labels)}
    borne = [
        (place, label_code[label])
        for place, counts in enumerate(label_counts)
        for label, count in counts.items()
        for _ in range(count)
    ]
    places, numbers = np.array(borne, dtype=np.int64).reshape(-1, 2).T
    old = previous or {}
    known = sorted(set(old.values()))
    earlier = Earlier(
        np.array([known.index(old[i]) if i in old else UNPLACED for i in image_ids], np.int8), known
    )
    found, vocabulary, losses = split_pictures(
        np.array([codes[g] for g in groups], dtype=np.int64),
        pa.array(list(codes), pa.string()),
        Labelling(places, numbers, labels),
        shares,
        seed=seed,
        earlier=earlier,
    )
    return {i: vocabulary[c] for i, c in zip(image_ids, found.tolist(), strict=True)}, losses


def _dealt(
    groups: Places,
    names: pa.Array,
    labelling: Labelling,
    split_of: npt.NDArray[np.int8],
    fresh: Places,
    splits: Sequence[str],
    wanted: Mapping[str, float],
    seed: int,
) -> npt.NDArray[np.int8]:
    """The split of each fresh group; of the old ones only the sums count."""
    kinds, places = len(labelling.names), labelling.places
    is_fresh = np.zeros(len(split_of), dtype=bool)
    is_fresh[fresh] = True
    # One row for what has no split yet, then one per split; those without a share come last and lack nothing.
    width = int(max(len(splits), split_of.max(initial=0) + 1)) + 1
    home = split_of.astype(np.int64) + 1
    home_of, is_new = home[groups], is_fresh[groups]
    pictures = np.bincount(home_of, minlength=width)
    labels = np.zeros(width * kinds, dtype=np.int64)
    has_label = np.zeros(len(groups), dtype=bool)
    chosen = [np.zeros(0, dtype=np.int64)]
    # What a label of each picture is counted under begins here.
    begins = home_of * kinds
    for start in range(0, len(places), LABELS_AT_ONCE):
        some = places[start : start + LABELS_AT_ONCE]
        keys = begins.take(some)
        keys += labelling.codes[start : start + LABELS_AT_ONCE]
        labels += np.bincount(keys, minlength=len(labels))
        has_label[some] = True
        chosen.append(np.flatnonzero(is_new.take(some)) + start)
    labelled = np.zeros(len(split_of), dtype=bool)
    labelled[groups[has_label]] = True
    sums = np.concatenate([labels.reshape(width, kinds), pictures[:, None]], axis=1)
    held = {
        only: np.bincount(home[~is_fresh & (labelled | (not only))], minlength=width)[1:][: len(splits)]
        for only in (False, True)
    }  # fmt: skip
    rows = np.concatenate(chosen)
    bearers = Bearers.of(groups[is_new], groups[places[rows]], labelling.codes[rows], kinds)
    order = ranks(names.take(pa.array(fresh)).to_pylist(), seed)
    given = np.empty(len(fresh), dtype=np.int8)
    given[order] = deal_out(
        bearers,
        fresh[order],
        sums.sum(axis=0),
        list(sums[1 : len(splits) + 1]),
        held,
        splits,
        [wanted[s] for s in splits],
    )
    return given


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


def _recoded(
    earlier: Earlier | None, vocabulary: Sequence[str], count: int
) -> npt.NDArray[np.int8]:
    """Codes of an earlier version as those of this one."""
    if earlier is None or not len(earlier.splits):
        return np.full(count, UNPLACED, dtype=np.int8)
    codes = np.array([*map(vocabulary.index, earlier.splits), UNPLACED], dtype=np.int8)
    return codes[earlier.codes]


def _homes(
    groups: Places,
    names: pa.Array,
    before: npt.NDArray[np.int8],
    vocabulary: Sequence[str],
    wanted: Mapping[str, float],
) -> tuple[npt.NDArray[np.int8], list[Loss]]:
    """Where new members of groups with old pictures go: to most of them, then to the largest split, then by name."""
    split_of = np.full(len(names), UNPLACED, dtype=np.int8)
    old = np.flatnonzero(before >= 0)
    homes, own = before[old], groups[old]
    split_of[own] = homes
    # Few groups have members in another split than the one that was written last.
    torn = np.unique(own[split_of[own] != homes])
    if not len(torn):
        return split_of, []
    width = len(vocabulary)
    number = np.searchsorted(torn, own)
    chosen = torn.take(number, mode="clip") == own
    keys = number[chosen] * width + homes[chosen]
    pinned = np.bincount(keys, minlength=len(torn) * width).reshape(len(torn), width)
    preferred = sorted(range(width), key=lambda c: (-wanted.get(vocabulary[c], 0.0), vocabulary[c]))
    split_of[torn] = np.array(preferred, dtype=np.int8)[np.argmax(pinned[:, preferred], axis=1)]
    losses = [
        _conflict(names[g].as_py(), {vocabulary[c]: int(n) for c, n in enumerate(counts) if n})
        for g, counts in zip(torn.tolist(), pinned, strict=True)
    ]
    return split_of, losses


def _conflict(group: str, pinned: Mapping[str, int]) -> Loss:
    places = ", ".join(f"{count} in {split}" for split, count in sorted(pinned.items()))
    return Loss(
        "split",
        group,
        f"{_CONFLICT}: a new link joins pictures that earlier versions placed apart ({places}); "
        "they stay where they were",
    )


def _nothing_to_split(count: int) -> Loss:
    return Loss(
        "split",
        "dataset",
        f"{count} group{'' if count == 1 else 's'}: nothing to split, all pictures train, and val repeats train",
    )


def _empty_splits(wanted: Mapping[str, float], taken: set[str], groups: int) -> list[Loss]:
    return [
        Loss("split", split, f"stays empty: {groups} groups are too few, or all are placed already")
        for split in wanted
        if split not in taken
    ]
