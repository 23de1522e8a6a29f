"""Which picture of a group of near-duplicates is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import flat, places_in
from aion_dagster.curation.left_out import Choice
from aion_dagster.curation.linking import Places

KeepRule = Literal["labelled", "largest", "most_boxes", "earliest", "latest", "smallest_file"]
KEEP_RULES: Final = get_args(KeepRule)
DEFAULT_KEEP: Final[tuple[KeepRule, ...]] = ("labelled", "largest", "most_boxes", "earliest")


def keep_one(
    choice: Choice,
    near_duplicates: pa.Table,
    labelled: npt.NDArray[np.bool_],
    boxes: Places,
    rule: Sequence[KeepRule],
) -> tuple[npt.NDArray[np.bool_], Places]:
    """Leave one picture of each near-duplicate group: the best by the first rule that tells them apart, then by id.

    Args:
        choice: the pictures, in the order of ids.
        near_duplicates: schema `NEAR_DUPLICATES`.
        labelled: which pictures a label source names.
        boxes: how many boxes each has.
        rule: what makes a picture the better one, the weightiest first.

    Returns:
        Which pictures are kept, and for each the place of the one that is kept of its group.
    """
    pictures = choice.pictures
    count = pictures.num_rows
    places = places_in(near_duplicates["image_id"], pictures["image_id"])
    own = flat(near_duplicates["group_id"], pa.string()).dictionary_encode().indices.to_numpy()
    members = np.flatnonzero(places >= 0)
    keys = [_order(r, pictures, labelled, boxes)[places[members]] for r in rule]
    order = members[np.lexsort((places[members], *reversed(keys), own[members]))]
    groups, ranked = own[order], places[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = groups[1:] != groups[:-1]
    best = np.arange(count)
    best[ranked] = ranked[first][np.cumsum(first) - 1] if len(order) else ranked
    kept = best == np.arange(count)
    names = pictures["name"]
    gone = np.flatnonzero(~kept)
    said = ", ".join(r.replace("_", " ") for r in rule)
    winners = names.take(pa.array(best[gone])).to_pylist()
    details = [
        f"near-duplicate of {winner}, which is kept ({said}); {n} boxes go with it"
        for winner, n in zip(winners, boxes[gone].tolist(), strict=True)
    ]
    choice.keep(kept, "near_duplicate", details)
    return kept, best


def _order(
    rule: KeepRule, pictures: pa.Table, labelled: npt.NDArray[np.bool_], boxes: Places
) -> npt.NDArray[np.int64]:
    """A number for each picture, the best having the smallest."""
    if rule == "labelled":
        return np.where(labelled, 0, 1)
    if rule == "most_boxes":
        return -boxes
    if rule == "largest":
        return -_numbers(pictures["width"], 0) * _numbers(pictures["height"], 0)
    if rule == "smallest_file":
        return _numbers(pictures["size_bytes"], np.iinfo(np.int64).max)
    moments = _numbers(pictures["captured_at"], np.iinfo(np.int64).max)
    if rule == "earliest":
        return moments
    return np.where(moments == np.iinfo(np.int64).max, moments, -moments)


def _numbers(column: pa.ChunkedArray, missing: int) -> npt.NDArray[np.int64]:
    values = pc.fill_null(flat(column, column.type).cast(pa.int64()), missing)
    return np.asarray(values.to_numpy(zero_copy_only=False))
