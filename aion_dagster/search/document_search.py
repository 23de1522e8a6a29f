"""Pieces of documents by words and meaning, among those that filters leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.search.field_matches import FieldMatch
from aion_dagster.search.filters import DocumentFilters
from aion_dagster.search.found import FoundChunk
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.index import Chunk
from aion_dagster.search.library_tables import LibraryTables
from aion_dagster.search.texts import DEPTH, Embed, nearest_meaning, text_reasons

_BEGINNING: Final = 160
"""Characters of a piece of a document that are shown where no word of it was asked for."""


_FAVOUR: Final = 10
"""k of the fusion: how little the first places are favoured."""

_WEIGHTS: Final = (0.5, 1.0)
"""How much words and meaning count.

Chosen on 50 questions for 379 pages (benchmarks/search_quality.py): recall@10 0.909 and nDCG@10 0.862, where words alone have
0.686 and 0.603, vectors alone 0.863 and 0.825, and equal weights with k = 60 have 0.909 and 0.822.
"""


def joined(words: Sequence[Hit], meaning: Sequence[Hit], limit: int) -> list[Hit]:
    """Both rankings as one."""
    return reciprocal_rank([words, meaning], k=_FAVOUR, limit=limit, weights=_WEIGHTS)


def search_documents(
    tables: LibraryTables, embed: Embed | None, query: str, filters: DocumentFilters, limit: int
) -> list[FoundChunk]:
    """The pieces, best first; both rankings are joined by reciprocal rank.

    Args:
        tables: the library.
        embed: the model that the vectors of the pieces were made with; without one words alone are searched.
        query: what somebody typed.
        filters: which documents.
        limit: how many results at most.

    Raises:
        StorageError: there is no index, or a table cannot be read.
    """
    words, meaning = rankings(tables, embed, query, filters, max(limit, DEPTH))
    hits = joined(words, meaning, limit)
    ids = [hit.image_id for hit in hits]
    chunks, matches = tables.words.chunks(ids), tables.words.chunk_matches(query, ids)
    near = {hit.image_id: hit.score for hit in meaning}
    return [
        _found(hit, chunks[hit.image_id], matches.get(hit.image_id, ()), near.get(hit.image_id))
        for hit in hits
    ]


def rankings(
    tables: LibraryTables, embed: Embed | None, query: str, filters: DocumentFilters, depth: int
) -> tuple[list[Hit], list[Hit]]:
    """The pieces by words alone and by meaning alone, best first, at most `depth` of each."""
    among = tables.documents_satisfying(filters)
    words = tables.words.search_chunks(query, depth, documents=among)
    if embed is None or not len(tables.chunk_vectors):
        return words, []
    known = pa.array(tables.words.chunk_ids(among), pa.string())
    mask = pc.is_in(tables.chunk_vectors.ids, known).to_numpy()
    return words, nearest_meaning(embed, tables.chunk_vectors, query, depth, mask)


def _found(
    hit: Hit, chunk: Chunk, matches: Sequence[FieldMatch], similarity: float | None
) -> FoundChunk:
    reasons = text_reasons(matches, similarity)
    shown = next((r.snippet for r in reasons if r.field == "content"), None)
    return FoundChunk(
        chunk.chunk_id,
        chunk.document_id,
        chunk.name,
        chunk.uri,
        hit.score,
        chunk.page_numbers,
        chunk.heading,
        shown or _beginning(chunk.content),
        reasons,
    )


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINNING else f"{line[:_BEGINNING].rsplit(' ', 1)[0]}…"
