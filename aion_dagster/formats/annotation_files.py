"""Annotations of a dataset's version, read from its Parquet file a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from aion_dagster import schemas

if TYPE_CHECKING:
    from pyarrow import fs

_ROWS_AT_ONCE: Final = 1 << 15
_BUFFER_BYTES: Final = 1 << 20
_CODED: Final = ("image_id", "category", "origin")
"""Columns whose values repeat: read as codes of a dictionary."""


class ParquetAnnotations:
    """The rows of a file of schema `ANNOTATIONS`; columns that an older file lacks are null."""

    def __init__(self, path: str, filesystem: fs.FileSystem | None = None) -> None:
        """The file at a path of this machine, or of another file system."""
        self._path, self._filesystem = path, filesystem
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
        if self._filesystem is None:
            # Through a buffer: a mapped file counts as memory of this process.
            return pq.ParquetFile(
                self._path, read_dictionary=coded, buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
        return pq.ParquetFile(self._path, filesystem=self._filesystem, read_dictionary=coded)


def _whole(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    for name in columns:
        if name not in table.column_names:
            nothing = pa.nulls(len(table), schemas.ANNOTATIONS.field(name).type)
            table = table.append_column(name, nothing)
    return table.select(list(columns))
