"""A table on its way into the store: written to a hidden file, moved to its place by one rename."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.storage.durable import hidden_sibling, make_folder, storage_errors
from aion_dagster.storage.parquet import Layout, RowGroupWriter, conform
from aion_dagster.storage.places import Place, publish


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the file's URI, its rows, its size."""

    uri: str
    rows: int
    size_bytes: int


class TableWriter:
    """Takes the rows of one table, piece by piece."""

    def __init__(
        self, table: str, schema: pa.Schema, place: Place, scratch: Path | None = None
    ) -> None:
        """Begin the file that will stand at `place`; in the folder `scratch` where that is in a bucket."""
        self.table = table
        self.schema = schema
        self.path = place
        self.rows = 0
        self._written: Written | None = None
        folder = _temporary_folder(place, scratch)
        make_folder(folder)
        self._temporary = hidden_sibling(folder / folder.name, "tmp")
        with storage_errors("write", place):
            # Arrow's own file: Python's would take the interpreter's lock for every page, and copy it.
            self._file = pa.OSFile(str(self._temporary), "wb")
        self._writer = RowGroupWriter(self._file, schema, Layout.of(schema))
        self._closed = False
        self._facts: dict[str, Any] = {"schema": schemas.VERSION}

    def note(self, **facts: Any) -> None:
        """Have the file tell facts about its making, which JSON can hold; too late once it is finished."""
        self._facts.update(facts)

    def append(self, data: pa.Table) -> None:
        """Add rows; columns are put in order and cast.

        Raises:
            StorageError: a column is missing, unknown or does not fit; or the disk is full.
        """
        if self._closed:
            raise StorageError(f"Table {self.table!r} at {self.path} is finished.")
        rows = conform(self.table, data, self.schema)
        with storage_errors("write", self.path):
            self._writer.append(rows)
        self.rows += rows.num_rows

    @property
    def written(self) -> Written:
        """What was written, once it is in place."""
        if self._written is None:
            raise StorageError(f"Table {self.table!r} has not been committed to {self.path}.")
        return self._written


class StagedTable(TableWriter):
    """A table that appears with `commit()`. As a context manager: finished at the end, discarded on an exception."""

    def finish(self) -> None:
        """Bring the rows to the disk; the table is not visible yet."""
        if self._closed:
            return
        with storage_errors("write", self.path):
            self._writer.close(self._facts)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        self._closed = True

    def commit(self) -> Written:
        """Make the table visible, in place of an older one; a second call changes nothing.

        Raises:
            StorageError: the disk is full or the folder not writable, or the table was discarded.
        """
        if self._written is not None:
            return self._written
        self.finish()
        size = self._size()
        publish(self._temporary, self.path)
        self._written = Written(self.path.as_uri(), self.rows, size)
        return self._written

    def discard(self) -> None:
        """Remove what was staged; after a commit this does nothing."""
        if self._written is not None:
            return
        if not self._closed:
            self._closed = True
            self._writer.abandon()
            # On a full disk closing fails again; the file goes away in any case.
            with suppress(OSError):
                self._file.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """The staged table itself."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish it, or discard it when the block raised."""
        if kind is not None:
            self.discard()
            return
        try:
            self.finish()
        except BaseException:
            self.discard()
            raise

    def _size(self) -> int:
        try:
            return self._temporary.stat().st_size
        except FileNotFoundError:
            raise StorageError(f"Table {self.table!r} for {self.path} was discarded.") from None


def _temporary_folder(place: Place, scratch: Path | None) -> Path:
    if isinstance(place, Path):
        # The table's folder, not the batch's: killed writers leave no empty batches, and the sweep reads few folders.
        return place.parent.parent if place.parent.name.startswith("batch=") else place.parent
    if scratch is None:
        raise StorageError(f"There is no folder for what is on its way to {place}.")
    return scratch
