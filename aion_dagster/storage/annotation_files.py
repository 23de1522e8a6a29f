"""Annotations of a dataset's version, read from its Parquet file a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from aion_dagster import schemas
from aion_dagster.storage.places import Place, address, filesystem

_ROWS_AT_ONCE: Final = 1 << 15
_BUFFER_BYTES: Final = 1 << 20
_CODED: Final = ("image_id", "category", "origin")
"""Columns whose values repeat: read as codes of a dictionary."""


class ParquetAnnotations:
    """The rows of a file of schema `ANNOTATIONS`; columns that an older file lacks are null."""

    def __init__(self, place: Place) -> None:
        """The file at a place."""
        self._place = place
        with self._open() as file:
            self.count: int = file.metadata.num_rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows, some at a time, with these columns; one empty table where there are none."""
        pool = pa.default_memory_pool()
        with self._open() as file:
            stored = [name for name in columns if name in file.schema_arrow.names]
            found = False
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=stored, use_threads=False):
                found = True
                yield _whole(pa.table(batch), columns)
                # The allocator would keep what a batch took: a page of every column.
                pool.release_unused()
        if not found:
            yield schemas.ANNOTATIONS.empty_table().select(list(columns))

    def _open(self) -> pq.ParquetFile:
        coded = list(_CODED)
        if isinstance(self._place, Path):
            # Through a buffer: a mapped file counts as memory of this process.
            return pq.ParquetFile(
                self._place, read_dictionary=coded, buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
        return pq.ParquetFile(
            address(self._place), filesystem=filesystem(self._place), read_dictionary=coded
        )


def _whole(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    for name in columns:
        if name not in table.column_names:
            nothing = pa.nulls(len(table), schemas.ANNOTATIONS.field(name).type)
            table = table.append_column(name, nothing)
    return table.select(list(columns))
