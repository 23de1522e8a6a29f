"""Tables of earlier versions: what they become where reading them with nulls and casts is not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.errors import StorageError
from aion_dagster.storage.parquet import parquet_file, read_footer
from aion_dagster.storage.places import Place
from aion_dagster.storage.tables import TableStore

SCHEMA: Final = "schema"
"""The fact in a file's footer that says which version of the schemas it was written with; without it, the first."""

Step = Callable[[pa.Table], pa.Table]
Steps = Mapping[int, Mapping[str, Step]]

STEPS: Final[Steps] = {}
"""Version of the schemas → table → rows of the version before, as rows of this one; missing columns come as nulls."""


def bring_up_to_date(
    tables: TableStore, *, steps: Steps = STEPS, version: int = schemas.VERSION
) -> int:
    """Write the files anew that steps change, each in one go; may be killed and repeated. Returns how many there were.

    To be called by somebody who works on the store alone.

    Raises:
        StorageError: a file cannot be read, or its rows do not fit.
    """
    changed = 0
    for table in sorted({name for step in steps.values() for name in step}):
        for batch, place in _files(tables, table):
            footer = read_footer(place)
            found = int(footer.facts.get(SCHEMA, 1))
            wanted = [steps[v][table] for v in sorted(steps) if v > found and table in steps[v]]
            if not wanted or found >= version:
                continue
            with tables.writer(table, batch=batch) as writer:
                writer.note(**{**footer.facts, SCHEMA: version})
                writer.append(_stepped(place, wanted, tables.schema(table)))
            changed += 1
    return changed


def _files(tables: TableStore, table: str) -> Iterator[tuple[str | None, Place]]:
    if tables.is_partitioned(table):
        for batch in tables.batches(table):
            yield batch, tables.path(table, batch)
    elif tables.exists(table):
        yield None, tables.path(table)


def _stepped(place: Place, steps: list[Step], schema: pa.Schema) -> pa.Table:
    try:
        with parquet_file(place) as file:
            rows = file.read()
    except (pa.ArrowInvalid, OSError) as error:
        raise StorageError(f"{place} cannot be read: {error}.") from error
    for step in steps:
        rows = step(rows)
    for field in schema:
        if field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows
