"""Names of documents and their pieces, made from content."""

from __future__ import annotations

import uuid

from aion_dagster.identity import digest, image_id


def document_id(sha256: str) -> str:
    """The document's id: a UUID whose bits are the first 122 of its SHA-256 (hex), as for pictures."""
    return image_id(sha256)


def chunk_id(document: str, index: int, parameters: str) -> str:
    """A piece's id: a UUID made from its document's id, its index, and what decided where pieces begin."""
    return str(uuid.UUID(hex=digest([document, index, parameters])[:32], version=5))
