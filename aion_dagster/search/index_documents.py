"""Pieces of documents in the index: a document is taken and given up as a whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from aion_dagster.search.index_state import KnownBatches, Place, Read, indexable, number_of

CHUNK_COLUMNS: Final = (
    "document_id",
    "chunk_id",
    "chunk_index",
    "content",
    "page_numbers",
    "heading_hierarchy",
)
"""Columns of `document_chunks` that are searched or shown."""


_Row = Mapping[str, Any]


def document_places(documents: pa.Table | None, batches: Mapping[str, str]) -> dict[str, Place]:
    """Where the pieces of each document come from; of several rows of a document the first counts."""
    places: dict[str, Place] = {}
    if documents is None:
        return places
    for row in documents.select(["document_id", "batch", "name", "uri"]).to_pylist():
        if row["document_id"] is not None and row["batch"] in batches:
            places.setdefault(
                row["document_id"], Place(row["batch"], row["name"] or "", row["uri"] or "")
            )
    return places


class IndexedDocuments:
    """The tables `documents`, `chunks` and `chunk_words`."""

    def __init__(
        self, connection: sqlite3.Connection, batches: Mapping[str, str], read: Read | None
    ) -> None:
        """Documents in an open index, whose batches have these fingerprints now."""
        self._connection, self._read = connection, read
        self._batches = KnownBatches(connection, "document_chunks", batches)

    def update(self, wanted: Mapping[str, Place]) -> None:
        """Take what is new or changed, give up what is not wanted any more."""
        rows = self._connection.execute(
            "SELECT document_id, document, batch, name, uri FROM documents"
        )
        known = {d: (number, Place(*place)) for d, number, *place in rows}
        unsure: dict[str, list[str]] = {}
        for document, place in wanted.items():
            old = known.get(document)
            if old is None or old[1] != place or place.batch in self._batches.changed:
                unsure.setdefault(place.batch, []).append(document)
        again = {document for documents in unsure.values() for document in documents}
        for document, (number, _) in known.items():
            if document not in wanted or document in again:
                self._remove(number)
        taken = {number for (number,) in self._connection.execute("SELECT chunk FROM chunks")}
        for batch in sorted(unsure):
            if self._read is None:
                raise TypeError("documents need read_chunks")
            chunks = _chunks(self._read(batch), set(unsure[batch]))
            self._add({d: (wanted[d], chunks.get(d, [])) for d in unsure[batch]}, taken)
        self._batches.remember()

    def _add(self, documents: Mapping[str, tuple[Place, list[_Row]]], taken: set[int]) -> None:
        rows: list[tuple[int, int, _Row]] = []
        for document, (place, chunks) in documents.items():
            inserted = self._connection.execute(
                "INSERT INTO documents(document_id, batch, name, uri) VALUES (?, ?, ?, ?)",
                (document, *place),
            )
            for chunk in chunks:
                number = number_of(chunk["chunk_id"], taken)
                taken.add(number)
                rows.append((number, inserted.lastrowid or 0, chunk))
        # FTS5 writes down what it holds whenever a row has a lower number than the one before.
        for number, owner, chunk in sorted(rows, key=lambda row: row[0]):
            self._connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?)",
                (number, chunk["chunk_id"], owner, json.dumps(chunk["page_numbers"] or [])),
            )
            heading = "\n".join(chunk["heading_hierarchy"] or ())
            self._connection.execute(
                "INSERT INTO chunk_words(rowid, heading, content) VALUES (?, ?, ?)",
                (number, indexable(heading), indexable(chunk["content"])),
            )

    def _remove(self, number: int) -> None:
        self._connection.execute(
            "DELETE FROM chunk_words WHERE rowid IN (SELECT chunk FROM chunks WHERE document = ?)",
            (number,),
        )
        self._connection.execute("DELETE FROM chunks WHERE document = ?", (number,))
        self._connection.execute("DELETE FROM documents WHERE document = ?", (number,))


def _chunks(table: pa.Table, documents: set[str]) -> dict[str, list[_Row]]:
    found: dict[str, dict[str, _Row]] = {}
    for row in table.select(list(CHUNK_COLUMNS)).to_pylist():
        if row["document_id"] in documents:
            found.setdefault(row["document_id"], {}).setdefault(row["chunk_id"], row)
    return {
        document: sorted(chunks.values(), key=lambda c: c["chunk_index"])
        for document, chunks in found.items()
    }
