"""Batches that become one: in steps of which each may be the last, and which another process undoes or finishes.

First a marker says what is to be done; then the tables of the new batch are written, which nobody sees; one transaction of
the ledger makes it the batch of all the files; then what names the old batches is written anew, and their tables are
deleted. What a killed process left is undone where that transaction is missing, and finished where it is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.errors import StorageError
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.places import Place, write_bytes

if TYPE_CHECKING:
    from aion_dagster.storage.store import Store

COMPACTION: Final = "compaction.json"
"""In a store: which batches are being merged."""


@dataclass(frozen=True)
class Compaction:
    """What is being done.

    `groups`: new batch → the batches that become it, in the order in which they were recorded.
    """

    groups: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, root: Place) -> Compaction | None:
        """What the marker of a store says; None where nothing is being done.

        Raises:
            StorageError: it is damaged.
        """
        marker = root / COMPACTION
        with storage_errors("read", marker):
            try:
                facts = orjson.loads(marker.read_bytes())
                return cls({new: tuple(old) for new, old in facts["groups"].items()})
            except FileNotFoundError:
                return None
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise StorageError(f"{marker} is damaged: {error}.") from error

    def write(self, root: Place) -> None:
        """Have the marker say this."""
        facts = {"groups": {new: list(old) for new, old in self.groups.items()}}
        write_bytes(root / COMPACTION, orjson.dumps(facts))

    def hidden(self, recorded: Iterable[str]) -> set[str]:
        """Batches whose tables are not to be read: new ones before the ledger knows them, old ones from then on."""
        known = set(recorded)
        found: set[str] = set()
        for new, old in self.groups.items():
            found |= set(old) if new in known else {new}
        return found

    def renamed(self, recorded: Iterable[str]) -> dict[str, str]:
        """Old batch → new one, of those that the ledger knows."""
        known = set(recorded)
        return {b: new for new, old in self.groups.items() if new in known for b in old}


def recover(store: Store) -> int:
    """Undo or finish what a killed process left; how many batches were undone or merged. For somebody who works alone."""
    found = Compaction.read(store.root)
    if found is None:
        return 0
    recorded = {batch.key for batch in store.ledger.batches()}
    undone = found.groups.keys() - recorded
    delete_tables(store, undone)
    for batch in undone:
        store.manifests.delete(batch)
    renamed = found.renamed(recorded)
    if renamed and store.tables.exists("library"):
        rename_in_library(store, renamed, {})
    finish(store, renamed)
    return len(found.groups)


def finish(store: Store, old: Iterable[str]) -> None:
    """Delete the tables of batches that are no more, and the marker."""
    delete_tables(store, old)
    with storage_errors("delete", store.root / COMPACTION):
        (store.root / COMPACTION).unlink(missing_ok=True)


def delete_tables(store: Store, batches: Iterable[str]) -> None:
    """Delete what tables hold of these batches."""
    gone = sorted(batches)
    for table in store.tables.names():
        if store.tables.is_partitioned(table):
            store.tables.delete_batches(table, gone)


def rename_in_library(store: Store, renamed: Mapping[str, str], facts: Mapping[str, Any]) -> int:
    """Have the library name the new batches; `facts` are what its file then says of its making. How many rows it has.

    Without facts, a library that names none of the old ones stays as it is.
    """
    rows = store.tables.read("library")
    if facts or _names_any(rows, renamed):
        batch = _renamed(rows["batch"].combine_chunks(), renamed)
        rows = rows.set_column(rows.schema.get_field_index("batch"), "batch", batch)
        rows = _with_locations(rows, renamed)
        with store.tables.writer("library") as writer:
            writer.note(**facts)
            writer.append(rows)
    return int(rows.num_rows)


def _names_any(rows: pa.Table, batches: Collection[str]) -> bool:
    """Whether rows of a library name one of these batches."""
    wanted = pa.array(sorted(batches), pa.string())
    places = pc.list_flatten(rows["locations"])
    found = [rows["batch"], pc.struct_field(places, "batch")]
    return any(pc.any(pc.is_in(column, value_set=wanted)).as_py() for column in found)


def rename_in_set(
    store: Store, name: str, renamed: Mapping[str, str], facts: Mapping[str, Any]
) -> int:
    """Have the current version of a dataset name the new batches; how many pictures it has."""
    version = store.sets.current(name)
    if version is None:
        raise StorageError(f"The set {name!r} has not been written.")
    tables, info = store.sets.read(name, version)
    tables["images"] = _with_locations(tables["images"], renamed)
    store.sets.write(name, version, tables, {**info, **facts}, renew=True)
    rows: int = tables["images"].num_rows
    return rows


def _with_locations(rows: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """Rows whose locations name the new batches."""
    column = rows["locations"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of a table without rows
        column = pa.concat_arrays([*column.chunks, pa.array([], column.type)])
    places = column.flatten()
    arrays = {f.name: places.field(f.name) for f in places.type}
    arrays["batch"] = _renamed(arrays["batch"], renamed)
    structs = pa.StructArray.from_arrays(list(arrays.values()), fields=list(places.type))
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    lists = pa.ListArray.from_arrays(offsets, structs, mask=pc.is_null(column))
    return rows.set_column(rows.schema.get_field_index("locations"), "locations", lists)


def _renamed(column: pa.Array, renamed: Mapping[str, str]) -> pa.Array:
    found = pc.index_in(column, value_set=pa.array(list(renamed), pa.string()))
    new = pa.array(list(renamed.values()), pa.string()).take(found)
    return pc.coalesce(new, column)
