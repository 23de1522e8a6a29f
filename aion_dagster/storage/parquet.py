"""How a table becomes the bytes of a Parquet file: columns checked and cast, row groups of a fixed size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aion_dagster.errors import StorageError
from aion_dagster.storage.places import Place, address, filesystem

FACTS: Final = "aion_dagster"
"""Where the facts of a file stand in the metadata of its footer."""

ROW_GROUP_ROWS: Final = 16_384
BINARY_ROW_GROUP_ROWS: Final = 64
"""Tables that hold pictures: small groups, so that a few rows can be read without the others."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one table are laid out in a file."""

    row_group_rows: int
    compression: str
    dictionary_columns: tuple[str, ...]

    @classmethod
    def of(cls, schema: pa.Schema) -> Layout:
        """zstd and large groups; for tables with binary columns (already compressed pictures) none and small ones."""
        texts = tuple(f.name for f in schema if pa.types.is_string(f.type))
        if any(pa.types.is_binary(f.type) for f in schema):
            return cls(BINARY_ROW_GROUP_ROWS, "none", ())
        return cls(ROW_GROUP_ROWS, "zstd", texts)


def conform(table: str, data: pa.Table, schema: pa.Schema) -> pa.Table:
    """`data` with exactly the columns, order and types of `schema`, without metadata.

    Raises:
        StorageError: a column is missing, unknown, or cannot be cast without loss.
    """
    names = data.column_names
    missing = [n for n in schema.names if n not in names]
    if missing:
        raise StorageError(f"Table {table!r} lacks the column {missing[0]!r}.")
    extra = [n for n in names if n not in schema.names]
    if extra:
        hint = " The batch stands in the path only: drop it." if extra[0] == "batch" else ""
        raise StorageError(f"Table {table!r} has no column {extra[0]!r}.{hint}")
    if len(names) != len(schema):
        twice = next(n for n in schema.names if names.count(n) > 1)
        raise StorageError(f"Table {table!r} has the column {twice!r} twice.")
    columns = [_cast(table, data.column(f.name), f) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema.remove_metadata())


def _cast(table: str, column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if column.type.equals(field.type):
        return column
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise StorageError(
            f"Table {table!r}, column {field.name!r}: {column.type} does not fit {field.type} ({error})."
        ) from error


class RowGroupWriter:
    """Rows in, row groups of one size out: the same rows give the same bytes, in whatever pieces they come."""

    def __init__(self, file: pa.NativeFile, schema: pa.Schema, layout: Layout) -> None:
        """Write to an open file, which stays open."""
        self._rows_per_group = layout.row_group_rows
        self._schema = schema
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression=layout.compression,
            use_dictionary=list(layout.dictionary_columns) or False,
            # Minima and maxima of pictures and vectors help nobody.
            write_statistics=[f.name for f in schema if not pa.types.is_nested(f.type)],
        )

    def append(self, data: pa.Table) -> None:
        """Add rows; full groups are written at once, so memory stays at one group and one call's rows."""
        self._pending.append(data)
        self._pending_rows += data.num_rows
        if self._pending_rows >= self._rows_per_group:
            self._write(pa.concat_tables(self._pending), final=False)

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write what is left and the footer, in which `facts` stand as JSON."""
        if self._pending_rows:
            self._write(pa.concat_tables(self._pending), final=True)
        self._writer.add_key_value_metadata({FACTS: orjson.dumps(dict(facts)).decode()})
        self._writer.close()

    def abandon(self) -> None:
        """Write nothing more; the file is of no use then."""
        # Else pyarrow writes the footer when the object goes away, into a file that is closed by then.
        self._writer.is_open = False

    def _write(self, data: pa.Table, *, final: bool) -> None:
        size = self._rows_per_group
        full = data.num_rows if final else data.num_rows // size * size
        for start in range(0, full, size):
            # Pages end where chunks end, so the chunks of the caller must not show.
            group = data.slice(start, min(size, full - start)).combine_chunks()
            self._writer.write_table(group, row_group_size=size)
        rest = data.slice(full)
        self._pending, self._pending_rows = [rest], rest.num_rows


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself: how many rows it has, and facts about its making."""

    rows: int
    facts: Mapping[str, Any]


def read_footer(place: Place) -> Footer:
    """The footer of a table's file; one of an earlier version of this package has no facts.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        with parquet_file(place) as file:
            stored = (file.metadata.metadata or {}).get(FACTS.encode())
            return Footer(file.metadata.num_rows, orjson.loads(stored) if stored else {})
    except (pa.ArrowInvalid, OSError, orjson.JSONDecodeError) as error:
        raise StorageError(f"{place} cannot be read: {error}.") from error


def parquet_file(place: Place, *, memory_map: bool = False) -> pq.ParquetFile:
    """A Parquet file of a store, open for reading; to be closed. Files of this machine may be mapped into memory."""
    if isinstance(place, Path):
        return pq.ParquetFile(place, memory_map=memory_map)
    # Footer and columns in few, larger requests.
    return pq.ParquetFile(address(place), filesystem=filesystem(place), pre_buffer=True)


def take_rows(
    path: Place, key: str, wanted: Collection[str], columns: Sequence[str], schema: pa.Schema
) -> pa.Table:
    """The rows of a file whose `key` is wanted; only row groups that hold such rows are read.

    Returns:
        The given columns in the given order, rows in file order; columns that an older file lacks are null.
    """
    value_set = pa.array(sorted(wanted), pa.string())
    picked = []
    with parquet_file(path) as file:
        stored = set(file.schema_arrow.names)
        there = [name for name in columns if name in stored]
        for group in range(file.num_row_groups):
            mask = pc.is_in(
                file.read_row_group(group, columns=[key]).column(key), value_set=value_set
            )
            if pc.any(mask).as_py():
                rows = file.read_row_group(group, columns=there).filter(mask)
                for name in columns:
                    if name not in stored:
                        rows = rows.append_column(
                            name, pa.nulls(rows.num_rows, schema.field(name).type)
                        )
                picked.append(rows.select(columns))
    found = pa.schema([schema.field(name) for name in columns])
    return pa.concat_tables(picked).cast(found) if picked else found.empty_table()
