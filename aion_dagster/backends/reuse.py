"""Results of heavy steps, found again by content, operation and engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.storage.store import Store


def reusable_rows(
    store: Store,
    table: str,
    *,
    operation: str,
    parameters: str,
    batch: str,
    contents: Mapping[str, str],
) -> tuple[pa.Table, dict[str, str]]:
    """Rows of `table` that earlier batches hold for `contents`, and the contents that are still to do.

    Args:
        store: where to look.
        table: a table with a column `image_id`.
        operation: what made the rows.
        parameters: digest of engine, version and parameters; other ones do not count.
        batch: the batch at work, whose own rows do not count.
        contents: SHA-256 (hex) → image id.

    Returns:
        The rows found (schema of the table), and `contents` without those.
    """
    found = store.ledger.find_results(operation, parameters, list(contents))
    wanted: dict[str, set[str]] = defaultdict(set)
    for sha, where in found.items():
        if where != batch and store.tables.exists(table, where):
            wanted[where].add(contents[sha])
    rows = store.tables.take_by_id(table, wanted, schemas.TABLES[table].names)
    have = set(rows["image_id"].to_pylist())
    return rows, {sha: image for sha, image in contents.items() if image not in have}
