"""The tables of a store: Parquet, one file per table and batch, read lazily across batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster.errors import StorageError
from aion_dagster.storage.own_tables import common_schema
from aion_dagster.storage.parquet import take_rows
from aion_dagster.storage.places import Place, address, filesystem
from aion_dagster.storage.staged import StagedTable, TableWriter, Written
from aion_dagster.storage.table_files import UNPARTITIONED as UNPARTITIONED
from aion_dagster.storage.table_files import TableFiles

_BATCH: Final = pa.field("batch", pa.string())


class TableStore(TableFiles):
    """Tables below one folder: `<table>/batch=<batch>/part.parquet`, or `<table>/part.parquet` for whole ones.

    `batch` is part of the path only. Reading several batches adds it as the last column; the table of a single batch
    has exactly the schema it was written with.

    Tables by other names may be written too, with a schema given then: whole or per batch, as they were written first.
    """

    def write(
        self,
        table: str,
        data: pa.Table | pa.RecordBatchReader,
        *,
        batch: str | None = None,
        schema: pa.Schema | None = None,
    ) -> Written:
        """Write a table as a whole, replacing what was there; `schema` as for `stage`.

        The same rows give the same bytes. A reader sees the old rows or the new ones.

        Raises:
            StorageError: columns do not fit the schema, or the store cannot be written; nothing is left half-written.
        """
        with self.writer(table, batch=batch, schema=schema) as writer:
            if isinstance(data, pa.Table):
                writer.append(data)
            else:
                for part in data:
                    writer.append(pa.Table.from_batches([part]))
        return writer.written

    @contextmanager
    def writer(
        self, table: str, *, batch: str | None = None, schema: pa.Schema | None = None
    ) -> Iterator[TableWriter]:
        """Write a table piece by piece: it appears when the block ends, and not at all when the block raises."""
        staged = self.stage(table, batch=batch, schema=schema)
        try:
            yield staged
            staged.commit()
        except BaseException:
            staged.discard()
            raise

    def stage(
        self, table: str, *, batch: str | None = None, schema: pa.Schema | None = None
    ) -> StagedTable:
        """Like `writer`, but the table appears with a call of `commit()`, which may come much later.

        Args:
            table: its name.
            batch: its batch; None for a table that is written as a whole.
            schema: the columns of a table by another name than those of `schemas.TABLES`.

        Raises:
            StorageError: as `path`, no such table and no schema given, or it was written the other way before.
        """
        path = self.path(table, batch)
        if table in self._schemas or schema is None:
            return StagedTable(table, self.schema(table), path, self._scratch)
        if self.exists(table) and self.is_partitioned(table) != (batch is not None):
            raise StorageError(
                f"Table {table!r} was written {'as a whole' if batch else 'per batch'} until now;"
                f" delete {self._folder(table)} to write it otherwise."
            )
        return StagedTable(table, schema.remove_metadata(), path, self._scratch)

    def read(
        self,
        table: str,
        *,
        batch: str | None = None,
        columns: Sequence[str] | None = None,
        image_ids: Collection[str] | None = None,
    ) -> pa.Table:
        """Read a table: one batch, a whole table, or (without `batch`) all batches with `batch` as last column.

        Args:
            table: its name.
            batch: one batch of a partitioned table.
            columns: these columns only, in this order.
            image_ids: rows of these pictures only.

        Raises:
            StorageError: it has not been written, a column is unknown, or the file is damaged.
        """
        if batch is None and self.is_partitioned(table):
            return self._load(table, self.dataset(table), columns, image_ids, self._folder(table))
        path = self.path(table, batch)
        if not path.is_file():
            of_batch = "" if batch is None else f" of batch {batch}"
            raise StorageError(
                f"Table {table!r}{of_batch} has not been written: {path} is missing."
            )
        schema = self._schemas.get(table) or common_schema(table, [path])
        data = self._dataset([path], None, schema)
        return self._load(table, data, columns, image_ids, path)

    def dataset(self, table: str, *, exclude: Collection[str] = ()) -> ds.Dataset:
        """All of a table, lazily; `batch` is a string column of partitioned ones.

        Args:
            table: its name.
            exclude: batches to leave out.

        Returns:
            What is there now; batches written later are not in it. Nothing written: no rows, the same columns.
        """
        schema = self.schema(table)
        if not self.is_partitioned(table):
            path = self.path(table)
            return self._dataset([path] if path.is_file() else [], None, schema)
        left_out = set(exclude)
        keys = [key for key in self.batches(table) if key not in left_out]
        paths = [self.path(table, key) for key in keys]
        return self._dataset(paths, keys, schema.append(_BATCH))

    def take_by_id(
        self, table: str, wanted: Mapping[str, Collection[str]], columns: Sequence[str]
    ) -> pa.Table:
        """Rows of given pictures from given batches, reading only the row groups that hold them.

        Args:
            table: a partitioned table with a column `image_id`.
            wanted: batch → image ids. Batches and ids that are not there are left out.
            columns: the columns of the result, in this order; `batch` may be one of them.

        Raises:
            StorageError: unknown column, or a damaged file.
        """
        schema = self._selected(table, columns, self.schema(table).append(_BATCH))
        stored = [name for name in columns if name != "batch"]
        parts = [schema.empty_table()]
        for batch in sorted(wanted):
            path = self.path(table, batch)
            if not path.is_file():
                continue
            with _read_errors(table, path):
                rows = take_rows(path, "image_id", wanted[batch], stored, self.schema(table))
            if "batch" in columns:
                keys = pa.array([batch] * rows.num_rows, pa.string())
                rows = rows.append_column(_BATCH, keys).select(columns)
            parts.append(rows)
        return pa.concat_tables(parts)

    def _dataset(
        self, paths: Sequence[Place], batches: Sequence[str] | None, schema: pa.Schema
    ) -> ds.Dataset:
        partitions = None if batches is None else [pc.field("batch") == key for key in batches]
        return ds.FileSystemDataset.from_paths(
            [address(path) for path in paths],
            schema=schema,
            format=ds.ParquetFileFormat(),
            filesystem=filesystem(self.root),
            partitions=partitions,
        )

    def _selected(self, table: str, columns: Sequence[str], schema: pa.Schema) -> pa.Schema:
        for name in columns:
            if name not in schema.names:
                raise StorageError(f"Table {table!r} has no column {name!r}.")
        return pa.schema([schema.field(name) for name in columns])

    def _load(
        self,
        table: str,
        data: ds.Dataset,
        columns: Sequence[str] | None,
        image_ids: Collection[str] | None,
        place: Place,
    ) -> pa.Table:
        selected = None
        if columns is not None:
            selected = self._selected(table, columns, data.schema).names
        wanted = None
        if image_ids is not None:
            self._selected(table, ["image_id"], data.schema)
            wanted = pc.field("image_id").isin(pa.array(sorted(image_ids), pa.string()))
        with _read_errors(table, place):
            return data.to_table(columns=selected, filter=wanted)


@contextmanager
def _read_errors(table: str, place: Place) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise StorageError(
            f"Table {table!r} cannot be read from {place}: {error}. Where the file is damaged, delete it and"
            " compute its batch again."
        ) from error
