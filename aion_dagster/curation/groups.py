"""Groups: pictures that must stay together when a dataset is split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from aion_dagster.curation.linking import Places, all_roots, link_equal

Bonds = tuple[Places, npt.NDArray[np.int64]]
"""Places of pictures and a code for each: equal codes bind. A place may occur several times, or not at all."""


def group_places(count: int, bonds: Iterable[Bonds]) -> Places:
    """The group of each of `count` pictures, named by the place of its first member.

    Two pictures that share a code of one kind of bond are in one group, directly or through others; a picture that
    nothing binds is a group of its own.
    """
    parent = np.arange(count, dtype=np.int64)
    for places, codes in bonds:
        link_equal(parent, places, codes)
    return all_roots(parent)


def numbered(groups: Places) -> tuple[Places, Places]:
    """The first member of each group, and for each picture the number of its group; `groups` as `group_places` gives them."""
    is_first = groups == np.arange(len(groups))
    return np.flatnonzero(is_first), (np.cumsum(is_first) - 1)[groups]


def group_ids(image_ids: Sequence[str], keys: Sequence[Iterable[Hashable]]) -> list[str]:
    """The group of each picture: two pictures that share a key are in one group, directly or through others.

    Keys are whatever binds pictures: the near-duplicate group, a folder, a source, a patient. A picture may have
    several (a file that lies in two folders binds both) or none (it is a group of its own).

    Args:
        image_ids: unique ids.
        keys: for each picture its keys; keys of different kinds must differ, e.g. ("folder", "a").

    Returns:
        For each picture the smallest image_id of its group, independent of the order of rows.
    """
    order = sorted(range(len(image_ids)), key=lambda i: image_ids[i])
    codes: dict[Hashable, int] = {}
    pairs = [(p, codes.setdefault(k, len(codes))) for p, i in enumerate(order) for k in keys[i]]
    places, numbers = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    found = group_places(len(order), [(places, numbers)]).tolist()
    group = {i: image_ids[order[root]] for i, root in zip(order, found, strict=True)}
    return [group[i] for i in range(len(image_ids))]
