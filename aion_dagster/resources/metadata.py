"""Metadata that every materialized table carries."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as the UI shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.type) if len(str(column.type)) < 120 else _short(column.type),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in schema
        ]
    )


def _short(kind: pa.DataType) -> str:
    """A long nested type by its outermost name."""
    return str(kind).split("<", 1)[0] + "<…>"


def table_metadata(schema: pa.Schema, rows: int, uri: str, size_bytes: int) -> dict[str, Any]:
    """Row count, column schema, place and size of a table."""
    return {
        "dagster/row_count": rows,
        "dagster/column_schema": column_schema(schema),
        "dagster/uri": uri,
        "size_bytes": size_bytes,
    }
