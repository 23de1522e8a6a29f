"""Vectors of pictures over one batch: what earlier batches know is copied, the rest is asked of the backend once."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster.backends.detections import distinct_pictures, first_readable
from aion_dagster.backends.protocol import Picture, VisionBackend
from aion_dagster.backends.reuse import reusable_rows
from aion_dagster.storage.store import Store
from aion_dagster.values import FileRef


def embed_pictures(
    batch: str,
    images: pa.Table,
    store: Store,
    backend: VisionBackend,
    read: Callable[[FileRef], bytes],
    advance: Callable[[int], None],
) -> tuple[pa.Table, list[str]]:
    """Rows of schema `IMAGE_EMBEDDINGS` for every distinct readable picture of a batch.

    Returns:
        The rows, and the contents (SHA-256) whose vector may be reused.
    """
    places = distinct_pictures(images)
    ids = dict(zip(images["sha256"].to_pylist(), images["image_id"].to_pylist(), strict=True))
    rows, left = reusable_rows(
        store,
        "image_embeddings",
        operation="embed_images",
        parameters=backend.identity("embed_images"),
        batch=batch,
        contents={sha: ids[sha] for sha in places},
    )
    advance(rows.num_rows)
    chunks: list[pa.Table] = [rows]
    pictures = (
        Picture(image, sha, first_readable(places[sha], read)) for sha, image in left.items()
    )
    for chunk in backend.embed_images(pictures):
        chunks.append(chunk)
        advance(chunk.num_rows)
    table = pa.concat_tables(chunks)
    answered = set(table.filter(pc.equal(table["status"], "ok"))["image_id"].to_pylist())
    return table, sorted(sha for sha in places if ids[sha] in answered)
