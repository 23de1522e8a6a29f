"""Text vectors of descriptions: what a text search by meaning compares with."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.backends.protocol import VisionBackend

LOCAL_PROVIDER: Final = "local"


def embedding_text(title: str, description: str, tags: list[str], visible_text: str) -> str:
    """The text that stands for a picture: what is seen first, then words in it."""
    parts = [title, description, ", ".join(tags), visible_text]
    return ". ".join(p.strip(" .") for p in parts if p and p.strip())


def _text(row: dict[str, Any]) -> str:
    """The words of a row that have a meaning.

    A description of measured facts is a title's facts with their numbers: they would cost most of the tokens and bring
    pictures together by their digits.
    """
    described = "" if row["provider"] == LOCAL_PROVIDER else row["description"] or ""
    return embedding_text(
        row["title"] or "", described, row["tags"] or [], row["visible_text"] or ""
    )


def embed_descriptions(descriptions: pa.Table, backend: VisionBackend) -> pa.Table:
    """Rows of schema `EMBEDDINGS` for the completed rows of `descriptions`; equal texts are computed once."""
    done = descriptions.filter(pc.equal(descriptions["description_status"], "completed"))
    rows = done.select(["title", "description", "tags", "visible_text", "provider"]).to_pylist()
    texts = [_text(row) for row in rows]
    if not texts:
        return schemas.EMBEDDINGS.empty_table()
    distinct = list(dict.fromkeys(texts))
    vectors = backend.embed_text(distinct)
    place = {text: i for i, text in enumerate(distinct)}
    flat = vectors[[place[t] for t in texts]].reshape(-1)
    return pa.table(
        {
            "image_id": done["image_id"],
            "kind": ["text"] * len(texts),
            "model": [backend.identity("embed_text")] * len(texts),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(flat, pa.float32()), schemas.TEXT_VECTOR_DIMENSIONS
            ),
        },
        schema=schemas.EMBEDDINGS,
    )
