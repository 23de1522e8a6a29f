"""Whether splits leak: groups that lie in several of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import flat
from aion_dagster.errors import ExportError


@dataclass(frozen=True, slots=True)
class Leak:
    """A group that lies in several splits, and how many of its pictures are in each."""

    group_id: str
    splits: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.group_id} ({', '.join(f'{n} in {s}' for s, n in self.splits)})"


def leaks(images: pa.Table) -> list[Leak]:
    """The groups of a dataset's pictures (schema `DATASET_IMAGES`) that lie in several splits, sorted by id."""
    known = images.filter(pc.is_valid(images["group_id"]))
    groups = flat(known["group_id"], pa.string()).dictionary_encode()
    splits = flat(known["split"], pa.string()).dictionary_encode()
    width = max(1, len(splits.dictionary))
    keys = groups.indices.to_numpy().astype(np.int64) * width + splits.indices.to_numpy()
    pairs, counts = np.unique(keys, return_counts=True)
    owners, several = np.unique(pairs // width, return_counts=True)
    torn = set(owners[several > 1].tolist())
    found: dict[str, list[tuple[str, int]]] = {}
    names, ids = splits.dictionary.to_pylist(), groups.dictionary
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        if pair // width in torn:
            found.setdefault(ids[pair // width].as_py(), []).append((names[pair % width], count))
    return [Leak(group, tuple(sorted(found[group]))) for group in sorted(found)]


def said_of_leaks(found: list[Leak]) -> str:
    """What is wrong, and the ways out."""
    first = "; ".join(map(str, found[:5]))
    return (
        f"{len(found)} groups lie in more than one split: {first}{' …' if len(found) > 5 else ''}."
        " Pictures of earlier versions do not move: take 'near_duplicates: keep_one', or 'splits_from: []' to split"
        " anew; 'leaks: warn' exports nevertheless"
    )


def refuse_leaks(name: str, images: pa.Table) -> None:
    """Refuse a dataset whose splits leak.

    Raises:
        ExportError: a group lies in several splits; the message names the first of them.
    """
    found = leaks(images)
    if found:
        raise ExportError(f"dataset {name}: {said_of_leaks(found)}")
