"""The files of a store's tables: where they lie, which are there, and their end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.identity import BATCH_KEY_PATTERN
from aion_dagster.storage import durable
from aion_dagster.storage.bucket import BucketPath
from aion_dagster.storage.durable import storage_errors
from aion_dagster.storage.own_tables import common_schema, folder_name
from aion_dagster.storage.places import Place

UNPARTITIONED: Final = frozenset({"library", "near_duplicates", "links", "usage"})
"""Tables that are written as a whole; all others have one file per batch."""

LISTED_SECONDS: Final = 600.0
"""How long the listing of a bucket is believed by the process that made it."""

_FEW: Final = 100
"""So many files are looked for one by one; of more the folder is listed."""

FILE: Final = "part.parquet"
"""The name of every file of a table; its folders tell which it is."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """The batches of a table in a bucket, and when they were listed."""

    at: float
    batches: set[str]


class TableFiles:
    """Files below one folder: `<table>/batch=<batch>/part.parquet`, or `<table>/part.parquet` for whole tables.

    Tables by other names than those of the schemas are whole or per batch as they were written first.
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
        whole = self._folder(table) / FILE
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
        return not (self._folder(table) / FILE).is_file()

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
            return self._folder(table) / FILE
        if BATCH_KEY_PATTERN.fullmatch(batch) is None:
            raise StorageError(f"{batch!r} is no batch key (1 to 64 of a-z, 0-9 and -).")
        return self._folder(table) / f"batch={batch}" / FILE

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
                if name == "batch" and file.name == FILE and file.parent.parent == folder:
                    yield key
            return
        if not folder.is_dir():
            return
        with storage_errors("list", folder), os.scandir(folder) as entries:
            for entry in entries:
                name, _, key = entry.name.partition("=")
                # A process that was killed between creating the folder and the rename leaves it empty.
                if name == "batch" and os.path.isfile(f"{entry.path}/{FILE}"):  # noqa: PTH113 - 5 times faster
                    yield key
