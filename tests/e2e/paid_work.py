"""What one of several processes does within a budget; a module of its own, so that such a process imports little."""

from __future__ import annotations

from typing import Any

from paid_pictures import asking, originals, to_describe, uploading

from aion_dagster.storage.call_records import Cap
from aion_dagster.storage.ledger_calls import PaidCalls
from aion_dagster.storage.ledger_database import Database

CHUNK = 25


def work(
    ledger: str, url: str, endpoint: str, items: int, budget: int, first: int
) -> list[tuple[str, str]]:
    """Upload everything, and have an endpoint describe it, from the item `first` on, round to the one before it.

    Returns:
        For each item and kind of work what there is of it: a remote id, a title, or the kind of the failure.
    """
    database = Database(ledger)
    caps = [Cap("run", calls=budget)]
    backend = uploading(url, PaidCalls(database, run="uploads", caps=caps), upload_batch=5)
    describer = asking(endpoint, PaidCalls(database, run="endpoint", caps=caps))
    found: list[tuple[str, str]] = []
    numbers = [*range(first, items), *range(first)]
    for start in range(0, items, CHUNK):
        chunk = numbers[start : start + CHUNK]
        uploads = backend.upload(originals(chunk)).to_pylist()
        found += [("upload", row["remote_id"] or row["error_type"]) for row in uploads]
    described = describer.describe(to_describe(numbers)).to_pylist()
    found += [("endpoint", row["title"] or row["description_error_type"]) for row in described]
    database.close()
    return found


def work_and_tell(queue: Any, *arguments: Any) -> None:
    """The same, in a process of its own."""
    queue.put(work(*arguments))
