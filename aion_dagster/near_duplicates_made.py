"""The near-duplicates of a library, found on from what was found last time."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.curation.library import live_rows
from aion_dagster.curation.near_duplicates import INDEX, NearDuplicates, find_near_duplicates
from aion_dagster.errors import StorageError
from aion_dagster.storage.store import Store

INDEX_TABLE: Final = "near_duplicate_index"
"""Hash and group of every picture, so that the next time only new ones are compared."""

_STORED: Final = INDEX.append(pa.field("distance", pa.int8()))


def made_near_duplicates(store: Store, library: pa.Table, distance: int) -> NearDuplicates:
    """Groups of the pictures in use; only new ones are compared where the index of last time is there."""
    live = live_rows(library)
    areas = pc.multiply(live["width"].cast(pa.int64()), live["height"].cast(pa.int64()))
    found = find_near_duplicates(
        live["image_id"], live["phash"], areas, distance=distance, earlier=_earlier(store, distance)
    )
    marked = found.index.append_column(
        _STORED.field("distance"), pa.array([distance] * found.index.num_rows, pa.int8())
    )
    store.tables.write(INDEX_TABLE, marked, schema=_STORED)
    return found


def _earlier(store: Store, distance: int) -> pa.Table | None:
    """The index of last time, if it was made with the same distance; a damaged one is made anew."""
    try:
        if not store.tables.exists(INDEX_TABLE):
            return None
        table = store.tables.read(INDEX_TABLE)
    except StorageError:
        return None
    same = table.num_rows and table.schema.names == _STORED.names and pc.all(pc.equal(table["distance"], distance)).as_py()  # fmt: skip
    return table.select(INDEX.names) if same else None
