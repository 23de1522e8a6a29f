"""Tables about documents and pages of the web."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.schemas.values import TEXT_VECTOR_DIMENSIONS

DOCUMENTS: Final = pa.schema(
    [
        ("source", pa.string()),
        ("uri", pa.string()),
        ("name", pa.string()),
        ("version", pa.string()),
        ("document_id", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
        ("media_type", pa.string()),
        ("document_type", pa.string()),
        ("title", pa.string()),
        ("author", pa.string()),
        ("page_count", pa.int32()),
        ("character_count", pa.int64()),
        ("chunk_count", pa.int32()),
        ("engine", pa.string()),
        ("text_extraction_status", pa.string()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
        ("remote_id", pa.string()),
    ]
)
"""One row per document file of a batch, whatever became of it; the last three are null where it was read locally."""

DOCUMENT_CHUNKS: Final = pa.schema(
    [
        ("document_id", pa.string()),
        ("chunk_id", pa.string()),
        ("chunk_index", pa.int32()),
        ("content", pa.string()),
        ("page_numbers", pa.list_(pa.int32())),
        ("heading_hierarchy", pa.list_(pa.string())),
        ("start_offset", pa.int64()),
        ("end_offset", pa.int64()),
        ("token_count", pa.int32()),
        ("model", pa.string()),
        ("vector", pa.list_(pa.float32(), TEXT_VECTOR_DIMENSIONS)),
    ]
)
"""Pieces of each distinct document in order; offsets count characters of its whole text, page numbers begin at 1 and are
empty where the format has no pages; `vector` and `model` are null where no text model is there."""

LINKS: Final = pa.schema(
    [
        ("link_id", pa.string()),
        ("source_url", pa.string()),
        ("domain", pa.string()),
        ("page_title", pa.string()),
        ("og_metadata", pa.string()),
        ("favicon_url", pa.string()),
        ("crawl_status", pa.string()),
        ("crawl_error", pa.string()),
        ("crawled_at", pa.timestamp("us", tz="UTC")),
        ("was_there", pa.bool_()),
        ("error", pa.string()),
        ("error_type", pa.string()),
        ("is_retryable", pa.bool_()),
        ("final_url", pa.string()),
        ("http_status", pa.int32()),
        ("page_description", pa.string()),
        ("page_text", pa.string()),
        ("is_cut", pa.bool_()),
    ]
)
"""One row per configured URL; `og_metadata` is JSON. `crawl_error` is what the crawl came to grief on, `error` why there is
no link, or why nothing is known of it; `was_there` says that the remote library had the link before us. The last five are
known of pages that were crawled here: where redirects led, what the server answered, what the page says (`is_cut`: it is
longer than what was read)."""
