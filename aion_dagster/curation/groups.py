"""Groups: pictures that must stay together when a dataset is split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from aion_dagster.curation.linking import linked


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
    first_seen: dict[Hashable, int] = {}
    left, right = [], []
    for place, own in enumerate(keys):
        for key in own:
            other = first_seen.setdefault(key, place)
            if other != place:
                left.append(other)
                right.append(place)
    component = linked(
        len(image_ids), np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)
    ).tolist()
    smallest: dict[int, str] = {}
    for root, image_id in zip(component, image_ids, strict=True):
        if root not in smallest or image_id < smallest[root]:
            smallest[root] = image_id
    return [smallest[root] for root in component]
