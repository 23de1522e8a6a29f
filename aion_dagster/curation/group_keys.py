"""What binds pictures together beyond looking alike: folders, sources, parts of names, keys that users give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.columns import flat, places_in, text
from aion_dagster.curation.groups import Bonds
from aion_dagster.errors import ConfigError


@dataclass(frozen=True)
class NamePattern:
    """Pictures are bound whose names a regular expression finds the same in: its groups, or the whole match."""

    pattern: str


@dataclass(frozen=True)
class GivenKeys:
    """Keys that somebody gives: columns `image_id` and `key`; a picture may have several."""

    table: pa.Table


GroupKey = str | NamePattern | GivenKeys
"""`folder`, `source`, or one of the above."""


def near_duplicate_bond(pictures: pa.Table, near_duplicates: pa.Table) -> Bonds:
    """Pictures of one near-duplicate group."""
    return _bond(
        places_in(near_duplicates["image_id"], pictures["image_id"]), near_duplicates["group_id"]
    )


def bonds(pictures: pa.Table, keys: Sequence[GroupKey]) -> Iterator[Bonds]:
    """What each kind of key binds, over all places where a picture lies.

    Raises:
        ConfigError: a pattern is no regular expression.
    """
    for key in keys:
        if isinstance(key, GivenKeys):
            yield _bond(places_in(key.table["image_id"], pictures["image_id"]), key.table["key"])
            continue
        owners, sources, names = _locations(pictures)
        if isinstance(key, NamePattern):
            yield _bond(owners, pa.array(_matches(key.pattern, names), pa.string()))
        elif key == "source":
            yield _bond(owners, sources)
        else:
            folders = pc.replace_substring_regex(names, "[^/]*$", "")
            yield _bond(
                owners,
                pc.binary_join_element_wise(sources, folders, pa.scalar("\0", pa.large_string())),
            )


def _matches(pattern: str, names: pa.Array) -> list[str | None]:
    """What the pattern finds in each name; None where it finds nothing: nothing binds such a picture."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"group_by: {pattern!r} is no regular expression: {error}") from error
    found = map(compiled.search, names.to_pylist())
    return [None if m is None else "\0".join(g or "" for g in m.groups() or (m[0],)) for m in found]


def _bond(places: np.ndarray[tuple[int], np.dtype[np.int64]], keys: pa.ChunkedArray) -> Bonds:
    codes = pc.fill_null(text(keys).dictionary_encode().indices, -1).to_numpy()
    kept = (places >= 0) & (codes >= 0)
    return places[kept], codes[kept].astype(np.int64)


def _locations(
    pictures: pa.Table,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], pa.Array, pa.Array]:
    """Picture, source and name of every location; a picture without locations lies where its row says."""
    lists = flat(pictures["locations"], pictures.schema.field("locations").type)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    places = pc.list_flatten(lists)
    owners = np.repeat(np.arange(len(counts)), counts)
    bare = np.flatnonzero(counts == 0)
    rest = pictures.take(pa.array(bare))
    columns = [pa.concat_arrays([text(places.field(c)), text(rest[c])]) for c in ("source", "name")]
    return np.concatenate([owners, bare]), *columns
