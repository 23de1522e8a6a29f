"""Rows of `documents` and `document_chunks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.compute.documents.chunks import Chunk
from aion_dagster.compute.documents.document import MEDIA_TYPES, ExtractedDocument, Status
from aion_dagster.compute.documents.identifiers import chunk_id
from aion_dagster.values import FileRef

Embed = Callable[[Sequence[str]], np.ndarray]
"""Vectors of unit length, (n, 384), of texts."""

CONTENT_FACTS: Final = tuple(
    name
    for name in schemas.DOCUMENTS.names
    if name not in ("source", "uri", "name", "version", "modified_at")
)
"""Columns of `documents` that follow from the bytes alone."""

_ROWS: Final = 256
"""Pieces that are embedded and written at a time: a book's vectors would be many megabytes."""


def located(facts: dict[str, Any], ref: FileRef) -> dict[str, Any]:
    """A row of `documents`: what is known of a content, and one file that holds it."""
    return {
        **dict.fromkeys(schemas.DOCUMENTS.names),
        **facts,
        "source": ref.source,
        "uri": ref.uri,
        "name": ref.name,
        "version": ref.version,
        "modified_at": ref.modified_at,
    }


def refused(ref: FileRef, status: Status, reason: str) -> dict[str, Any]:
    """A row for a file whose bytes are not there."""
    facts = {"size_bytes": ref.size_bytes, "text_extraction_status": status, "error": reason}
    return located(facts, ref)


def content_facts(
    document: ExtractedDocument, *, sha256: str, document_id: str, size: int, chunks: int
) -> dict[str, Any]:
    """What `documents` says about a content."""
    return {
        "document_id": document_id,
        "sha256": sha256,
        "size_bytes": size,
        "media_type": MEDIA_TYPES.get(document.document_type or ""),
        "document_type": document.document_type,
        "title": document.title,
        "author": document.author,
        "page_count": document.page_count,
        "character_count": len(document.text),
        "chunk_count": chunks,
        "engine": document.engine,
        "text_extraction_status": document.status,
        "error": document.reason,
    }


def documents_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table of schema `DOCUMENTS`."""
    return pa.Table.from_pylist(list(rows), schema=schemas.DOCUMENTS)


def chunk_tables(
    document_id: str,
    chunks: Iterable[Chunk],
    parameters: str,
    embed: Embed | None,
    model: str | None,
) -> Iterator[pa.Table]:
    """Tables of schema `DOCUMENT_CHUNKS`, a few hundred rows each, with vectors where `embed` is given."""
    waiting = iter(chunks)
    while rows := list(islice(waiting, _ROWS)):
        yield _chunk_table(document_id, rows, parameters, embed, model)


def _chunk_table(
    document_id: str, rows: list[Chunk], parameters: str, embed: Embed | None, model: str | None
) -> pa.Table:
    columns: dict[str, Any] = {
        "document_id": [document_id] * len(rows),
        "chunk_id": [chunk_id(document_id, c.index, parameters) for c in rows],
        "chunk_index": [c.index for c in rows],
        "content": [c.content for c in rows],
        "page_numbers": [c.page_numbers for c in rows],
        "heading_hierarchy": [c.heading_hierarchy for c in rows],
        "start_offset": [c.start for c in rows],
        "end_offset": [c.end for c in rows],
        "token_count": [c.token_count for c in rows],
        "model": pa.array([model if embed else None] * len(rows), pa.string()),
    }
    kind = schemas.DOCUMENT_CHUNKS.field("vector").type
    if embed is None:
        columns["vector"] = pa.nulls(len(rows), kind)
    else:
        flat = np.asarray(embed(columns["content"]), np.float32).reshape(-1)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(
            pa.array(flat, pa.float32()), schemas.TEXT_VECTOR_DIMENSIONS
        )
    return pa.table(columns, schema=schemas.DOCUMENT_CHUNKS)
