"""Metadata that every materialized table carries."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa

from aion_dagster.storage.call_records import NOT_TOLD
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_spending import percentile


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


def call_metadata(calls: PaidCalls) -> dict[str, Any]:
    """What a materialization paid; nothing where it neither paid nor was spared a payment."""
    tally = calls.tally
    if not tally.calls and not tally.hits:
        return {}
    facts: dict[str, Any] = {
        "paid_calls": tally.calls,
        "answers_without_call": tally.hits,
        "credits": round(tally.credits, 6) if tally.told else NOT_TOLD,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
    }
    for name, share in (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95)):
        value = percentile(tally.latencies, share)
        if value is not None:
            facts[name] = round(value, 1)
    return facts
