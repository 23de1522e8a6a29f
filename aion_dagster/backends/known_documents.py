"""Documents whose rows and pieces an earlier batch holds: copied, not read again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aion_dagster import schemas
from aion_dagster.backends.document_rows import CONTENT_FACTS
from aion_dagster.compute.documents.identifiers import document_id
from aion_dagster.storage.parquet import take_rows
from aion_dagster.storage.staged import StagedTable
from aion_dagster.storage.store import Store

_COPIED_ROWS: Final = 20_000
"""Pieces of known documents that are copied at a time, at most, but for one document with more."""


class KnownDocuments:
    """What earlier batches hold, for one batch.

    Attributes:
        reused: contents that were found.
    """

    def __init__(self, batch: str, store: Store, operation: str, parameters: str) -> None:
        """Look for results of `operation` with `parameters`, but not in `batch` itself."""
        self._batch, self._store = batch, store
        self._operation, self._parameters = operation, parameters
        self._copied: dict[str, dict[str, int]] = defaultdict(dict)
        self.reused = 0

    def is_forgotten(self, sha256: str) -> bool:
        """Whether a content was erased, and is not to be read again."""
        return bool(self._store.ledger.forgotten_contents([sha256]))

    def facts(self, sha256: str) -> dict[str, Any] | None:
        """The facts that an earlier batch holds; its pieces are noted to be copied."""
        tables, name = self._store.tables, document_id(sha256)
        found = self._store.ledger.find_results(self._operation, self._parameters, [sha256])
        where = found.get(sha256, self._batch)
        if where == self._batch or not all(
            tables.exists(t, where) for t in ("documents", "document_chunks")
        ):
            return None
        path = tables.path("documents", where)
        rows = take_rows(path, "document_id", [name], CONTENT_FACTS, schemas.DOCUMENTS)
        if not rows.num_rows:
            return None
        facts: dict[str, Any] = rows.slice(0, 1).to_pylist()[0]
        self.reused += 1
        if facts["chunk_count"]:
            self._copied[where][name] = facts["chunk_count"]
        return facts

    def copy_pieces(self, staged: StagedTable) -> None:
        """Copy the pieces of all documents that were found."""
        for batch, counts in self._copied.items():
            path = self._store.tables.path("document_chunks", batch)
            for names in _portions(counts):
                schema = schemas.DOCUMENT_CHUNKS
                staged.append(take_rows(path, "document_id", names, schema.names, schema))


def _portions(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Documents in portions of a bounded number of pieces."""
    names: list[str] = []
    rows = 0
    for name, count in counts.items():
        if names and rows + count > _COPIED_ROWS:
            yield names
            names, rows = [], 0
        names.append(name)
        rows += count
    if names:
        yield names
