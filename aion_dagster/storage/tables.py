"""The tables of a store: Parquet, one file per table and batch, read lazily across batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.identity import BATCH_KEY_PATTERN
from aion_dagster.storage import durable
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.own_tables import common_schema, folder_name
from aion_dagster.storage.parquet import take_rows
from aion_dagster.storage.places import Place, address, filesystem
from aion_dagster.storage.staged import StagedTable, TableWriter, Written

UNPARTITIONED: Final = frozenset({"library", "near_duplicates", "links", "usage"})
"""Tables that are written as a whole; all others have one file per batch."""

LISTED_SECONDS: Final = 600.0
"""How long the listing of a bucket is believed by the process that made it."""

_FEW: Final = 100
"""So many files are looked for one by one; of more the folder is listed."""

_FILE = "part.parquet"
_BATCH = pa.field("batch", pa.string())


@dataclass(frozen=True, slots=True)
class _Listed:
    """The batches of a table in a bucket, and when they were listed."""

    at: float
    batches: set[str]


class TableStore:
    """Tables below one folder: `<table>/batch=<batch>/part.parquet`, or `<table>/part.parquet` for whole ones.

    `batch` is part of the path only. Reading several batches adds it as the last column; the table of a single batch
    has exactly the schema it was written with.

    Tables by other names may be written too, with a schema given then: whole or per batch, as they were written first.
    """

    def __init__(
        self,
        root: Place,
        tables: Mapping[str, pa.Schema] = schemas.TABLES,
        unpartitioned: Collection[str] = UNPARTITIONED,
        *,
        scratch: Path | None = None,
        hidden: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Tables below `root`, with their schemas by name; `scratch` holds what is on its way into a bucket.

        `hidden` says which batches only those see that name them: they are being merged.
        """
        self._hidden = hidden
        self.root = root
        self._scratch = scratch
        self._schemas = tables
        self._unpartitioned = unpartitioned
        self._listed: dict[str, _Listed] = {}

    def names(self) -> list[str]:
        """Every table that has been begun, a team's own too; sorted."""
        if not self.root.is_dir():
            return []
        with storage_errors("list", self.root):
            found = {p.name for p in self.root.iterdir() if not p.name.startswith(".")}
        return sorted(n if n in self._schemas else n.replace(".", "/") for n in found)

    def has_fixed_schema(self, table: str) -> bool:
        """True for the tables of `schemas.TABLES`; false for a team's own."""
        return table in self._schemas

    def schema(self, table: str) -> pa.Schema:
        """The schema of one file of a table; of a team's own table what its files have together.

        Raises:
            StorageError: there is no such table.
        """
        if table in self._schemas:
            return self._schemas[table]
        whole = self._folder(table) / _FILE
        paths = [whole] if whole.is_file() else [self.path(table, b) for b in self.batches(table)]
        if not paths:
            raise StorageError(
                f"There is no table {table!r} in {self.root}; known: {', '.join(self._schemas)}."
            )
        return common_schema(table, paths)

    def is_partitioned(self, table: str) -> bool:
        """True where the table has one file per batch."""
        if table in self._schemas:
            return table not in self._unpartitioned
        return not (self._folder(table) / _FILE).is_file()

    def _folder(self, table: str) -> Place:
        return self.root / (table if table in self._schemas else folder_name(table))

    def path(self, table: str, batch: str | None = None) -> Place:
        """Where the file of a table (and batch) is or would be.

        Raises:
            StorageError: bad name, no batch for a partitioned one or a batch for a whole one, bad batch key.
        """
        if table in self._schemas and (batch is None) == self.is_partitioned(table):
            raise StorageError(
                f"Table {table!r} is written per batch: name the batch."
                if batch is None
                else f"Table {table!r} is written as a whole, not per batch."
            )
        if batch is None:
            return self._folder(table) / _FILE
        if BATCH_KEY_PATTERN.fullmatch(batch) is None:
            raise StorageError(f"{batch!r} is no batch key (1 to 64 of a-z, 0-9 and -).")
        return self._folder(table) / f"batch={batch}" / _FILE

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

    def exists(self, table: str, batch: str | None = None) -> bool:
        """True where the table (of this batch) has been written; without a batch: where any batch has."""
        if batch is None and self.is_partitioned(table):
            return any(True for _ in self._written_batches(table))
        return self.path(table, batch).is_file()

    def absent(self, table: str, batches: Iterable[str]) -> set[str]:
        """Those of `batches` that a partitioned table has not been written for.

        A bucket is listed now and then, and in between asked for what was not there alone: what somebody else deletes
        is missed for `LISTED_SECONDS`, or until another process looks.
        """
        if not isinstance(self.root, BucketPath):
            wanted = set(batches)
            if len(wanted) <= _FEW:
                return {batch for batch in wanted if not self.exists(table, batch)}
            return wanted - set(self._written_batches(table))
        listed = self._listed.get(table)
        if listed is None or time.monotonic() - listed.at > LISTED_SECONDS:
            listed = _Listed(time.monotonic(), set(self._written_batches(table)))
            self._listed[table] = listed
        missing = set(batches) - listed.batches
        found = {batch for batch in missing if self.exists(table, batch)}
        listed.batches.update(found)
        return missing - found

    def batches(self, table: str) -> list[str]:
        """The batches that a table has been written for, sorted; empty for a table written as a whole."""
        return sorted(self._written_batches(table)) if self.is_partitioned(table) else []

    def delete(self, table: str, batch: str | None = None) -> bool:
        """Remove the file of a table (and batch); False where there was none."""
        path = self.path(table, batch)
        self._listed.pop(table, None)
        with storage_errors("delete", path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            if isinstance(path, Path):
                if batch is not None:
                    with suppress(OSError):  # another process has just written the batch again
                        path.parent.rmdir()
                durable.fsync_folder(path.parents[1] if batch else path.parent)
        return True

    def delete_batches(self, table: str, batches: Iterable[str]) -> None:
        """Remove the files of a partitioned table for these batches, as far as there are any."""
        self._listed.pop(table, None)
        paths = [self.path(table, batch) for batch in batches]
        with storage_errors("delete", self._folder(table)):
            for path in paths:
                path.unlink(missing_ok=True)
                if isinstance(path, Path):
                    with suppress(
                        OSError
                    ):  # not there, or another process has just written the batch again
                        path.parent.rmdir()
            folder = self._folder(table)
            if isinstance(folder, Path) and folder.is_dir():
                durable.fsync_folder(folder)

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

    def sweep(self) -> int:
        """Remove the temporary files of killed processes; returns how many."""
        if not isinstance(self.root, Path):
            return 0 if self._scratch is None else durable.sweep(self._scratch)
        with storage_errors("clean up", self.root):
            folders = [e.path for e in os.scandir(self.root) if e.is_dir(follow_symlinks=False)]
        return sum(durable.sweep(Path(folder)) for folder in folders)

    def _written_batches(self, table: str) -> Iterator[str]:
        hidden = self._hidden()
        for key in self._there(table):
            if key not in hidden:
                yield key

    def _there(self, table: str) -> Iterator[str]:
        folder = self._folder(table)
        if isinstance(folder, BucketPath):
            for file in folder.files():
                name, _, key = file.parent.name.partition("=")
                if name == "batch" and file.name == _FILE and file.parent.parent == folder:
                    yield key
            return
        if not folder.is_dir():
            return
        with storage_errors("list", folder), os.scandir(folder) as entries:
            for entry in entries:
                name, _, key = entry.name.partition("=")
                # A process that was killed between creating the folder and the rename leaves it empty.
                if name == "batch" and os.path.isfile(f"{entry.path}/{_FILE}"):  # noqa: PTH113 - 5 times faster
                    yield key

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
