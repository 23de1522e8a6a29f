"""Tables of several batches as those of one: the same rows, and of a content that several have the row that is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.errors import StorageError
from aion_dagster.storage.own_tables import common_schema
from aion_dagster.storage.parquet import parquet_file
from aion_dagster.storage.places import Place
from aion_dagster.storage.tables import TableStore

PER_FILE: Final = ("images", "documents")
"""Tables with a row per file of a batch."""

BY_NAME: Final = ("annotations", "label_matches", "label_losses")
"""Tables whose rows follow from the names of a batch's files: all of them stay."""

_CONTENT: Final = ("image_id", "document_id")
"""Columns that name a content; other tables that have one say the same of it in every batch."""

Prefer = Callable[[str, Sequence[str]], Mapping[str, str]]
"""Which batch's rows are used of contents that several batches have: table and contents → content → batch."""


class Merged(NamedTuple):
    """A table that was written for the batch that others become."""

    table: str
    rows: int


def merge_table(
    tables: TableStore,
    table: str,
    old: Sequence[str],
    new: str,
    prefer: Prefer,
    facts: Mapping[str, Any],
) -> Merged:
    """Write the rows of a table's batches as one batch.

    Args:
        tables: where they are.
        table: its name.
        old: the batches, in the order in which they were recorded.
        new: the batch that they become.
        prefer: which batch's rows count of contents that several have; else those of the first.
        facts: what the new file says of its making.

    Raises:
        StorageError: a file is damaged, or the store cannot be written; nothing is left half-written.
    """
    paths = {batch: tables.path(table, batch) for batch in old}
    is_ours = tables.has_fixed_schema(table)
    schema = tables.schema(table) if is_ours else common_schema(table, list(paths.values()))
    content = _content_column(table, schema) if is_ours else None
    left_out = {} if content is None else _left_out(table, content, paths, prefer)
    with tables.writer(table, batch=new, schema=schema) as writer:
        writer.note(**facts)
        if table in PER_FILE:
            writer.append(_by_file(paths, schema))
        else:
            for batch, path in paths.items():
                for rows in _groups(path, schema):
                    if content is not None and batch in left_out:
                        gone = pc.is_in(rows[content], value_set=left_out[batch])
                        rows = rows.filter(pc.invert(gone))
                    if rows.num_rows:
                        writer.append(rows)
    return Merged(table, writer.written.rows)


def _content_column(table: str, schema: pa.Schema) -> str | None:
    """The column by which contents that several batches have are told; None where all rows are to stay."""
    if table in (*PER_FILE, *BY_NAME):
        return None
    return next((name for name in _CONTENT if name in schema.names), None)


def _left_out(
    table: str, column: str, paths: Mapping[str, Place], prefer: Prefer
) -> dict[str, pa.Array]:
    """Batch → contents of it whose rows are those of another batch."""
    holders: dict[str, list[str]] = {}
    for batch, path in paths.items():
        for content in _contents(path, column):
            holders.setdefault(content, []).append(batch)
    shared = {content: batches for content, batches in holders.items() if len(batches) > 1}
    used = prefer(table, list(shared)) if shared else {}
    gone: dict[str, list[str]] = {}
    for content, batches in shared.items():
        kept = used.get(content)
        for batch in batches:
            if batch != (kept if kept in batches else batches[0]):
                gone.setdefault(batch, []).append(content)
    return {batch: pa.array(contents, pa.string()) for batch, contents in gone.items()}


def _by_file(paths: Mapping[str, Place], schema: pa.Schema) -> pa.Table:
    """Rows by source, name and URI; of a file's versions the one that came last stands first, as that is how ties end."""
    parts = []
    for number, path in enumerate(paths.values()):
        rows = pa.concat_tables([schema.empty_table(), *_groups(path, schema)])
        parts.append(rows.append_column("age", pa.array([-number] * rows.num_rows, pa.int64())))
    keys = [(name, "ascending") for name in ("source", "name", "uri", "age")]
    return pa.concat_tables(parts).sort_by(keys).drop_columns("age")


def _groups(path: Place, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, a row group at a time; columns that an older one lacks are null."""
    try:
        with parquet_file(path) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                for field in schema:
                    if field.name not in rows.schema.names:
                        rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
                yield rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, OSError) as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error


def _contents(path: Place, column: str) -> list[str]:
    try:
        with parquet_file(path) as file:
            found: list[str] = pc.drop_null(
                file.read(columns=[column]).column(0).unique()
            ).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error
    return found
