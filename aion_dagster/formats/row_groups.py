"""Parquet files whose row groups all have the same number of rows, in whatever pieces the rows come."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

ROWS: Final = 1 << 15


class RowGroups:
    """A Parquet file being written, as a context; it is finished when the context is left."""

    def __init__(
        self, path: Path, schema: pa.Schema, *, coded: tuple[str, ...] = (), rows: int = ROWS
    ) -> None:
        """Begin a file with so many rows in a group; `coded` columns have values that repeat."""
        self._group = rows
        self._writer = pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=list(coded) or True
        )
        self._held: list[pa.Table] = [schema.empty_table()]
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Some rows; full groups are written at once."""
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= self._group:
            whole = pa.concat_tables(self._held)
            full = self._rows // self._group * self._group
            for start in range(0, full, self._group):
                self._write(whole.slice(start, self._group))
            # A copy of what is left, so that the rest can go.
            self._held = [whole.slice(full).combine_chunks()]
            self._rows -= full

    def __enter__(self) -> Self:
        """The file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the rest and the footer."""
        if kind is None and self._rows:
            self._write(pa.concat_tables(self._held))
        self._writer.close()

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks(), row_group_size=self._group)
