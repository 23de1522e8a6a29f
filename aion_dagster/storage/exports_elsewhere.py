"""Where exports were put outside of the store: nobody else knows when something is to be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from aion_dagster.identity import digest
from aion_dagster.storage.exports import FACTS, POINTER
from aion_dagster.storage.places import Place, place_of, write_bytes
from aion_dagster.storage.store import Store

_FOLDER: Final = ".elsewhere"
"""Below a store's exports: a file for each place."""


@dataclass(frozen=True, order=True)
class Elsewhere:
    """A place with an export of a dataset; `version` is that which was put there last."""

    place: str
    dataset: str
    version: str


def note_elsewhere(store: Store, place: Place, dataset: str, version: str) -> None:
    """An export of a version is about to be put at a place outside of the store."""
    where = str(place.absolute()) if isinstance(place, Path) else place.as_uri()
    note = orjson.dumps(asdict(Elsewhere(where, dataset, version)))
    write_bytes(store.exports.root / _FOLDER / f"{digest([where])[:16]}.json", note)


def exports_elsewhere(store: Store) -> Iterator[Elsewhere]:
    """Those that are still there."""
    folder = store.exports.root / _FOLDER
    if not folder.is_dir():
        return
    notes = [Elsewhere(**orjson.loads(file.read_bytes())) for file in [*folder.iterdir()]]
    for each in sorted(notes):
        place = place_of(each.place)
        if (place / FACTS).is_file() or (place / POINTER).is_file():
            yield each
