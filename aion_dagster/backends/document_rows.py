"""Rows of `documents` and `document_chunks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.file_columns import file_columns
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
        **file_columns(ref),
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
    rows = (
        {
            "document_id": document_id,
            "chunk_id": chunk_id(document_id, c.index, parameters),
            "chunk_index": c.index,
            "content": c.content,
            "page_numbers": c.page_numbers,
            "heading_hierarchy": c.heading_hierarchy,
            "start_offset": c.start,
            "end_offset": c.end,
            "token_count": c.token_count,
        }
        for c in chunks
    )
    yield from piece_tables(rows, embed, model)


def piece_tables(
    rows: Iterable[dict[str, Any]], embed: Embed | None, model: str | None
) -> Iterator[pa.Table]:
    """Rows of `DOCUMENT_CHUNKS` that lack model and vector, as tables of it: a few hundred rows each."""
    waiting = iter(rows)
    while some := list(islice(waiting, _ROWS)):
        yield _piece_table(some, embed, model)


def _piece_table(rows: list[dict[str, Any]], embed: Embed | None, model: str | None) -> pa.Table:
    schema = schemas.DOCUMENT_CHUNKS
    known = [field for field in schema if field.name not in ("model", "vector")]
    columns: dict[str, Any] = {f.name: pa.array([r[f.name] for r in rows], f.type) for f in known}
    columns["model"] = pa.array([model if embed else None] * len(rows), pa.string())
    if embed is None:
        columns["vector"] = pa.nulls(len(rows), schema.field("vector").type)
    else:
        texts = [row["content"] for row in rows]
        flat = np.asarray(embed(texts), np.float32).reshape(-1)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(
            pa.array(flat, pa.float32()), schemas.TEXT_VECTOR_DIMENSIONS
        )
    return pa.table(columns, schema=schema)
