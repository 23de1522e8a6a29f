"""Descriptions that are made again from the same inputs may have other words: what is made of them must know."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from aion_dagster.identity import digest
from aion_dagster.storage.store import Store

WORDS: Final = "words"
"""In the `info` of a build: what the words of a batch's descriptions are, since they were once replaced by others."""

FOLLOWING: Final = ("embeddings", "write_back")
"""What is made of a batch's descriptions, and notes under `WORDS` of which."""

_COLUMNS: Final = (
    "image_id",
    "title",
    "description",
    "tags",
    "visible_text",
    "description_status",
)


def words_note(store: Store, batch: str, descriptions: pa.Table) -> dict[str, str]:
    """What to note of descriptions that are about to replace those of the store; nothing as long as their words never changed."""
    before = store.ledger.build("descriptions", batch)
    if before is None or not store.tables.exists("descriptions", batch):
        return {}
    noted: str | None = before.info.get(WORDS)
    old = _words(store.tables.read("descriptions", batch=batch, columns=list(_COLUMNS)))
    new = _words(descriptions)
    if old != new:
        noted = new
    return {} if noted is None else {WORDS: noted}


def words_followed(store: Store, batch: str) -> dict[str, str]:
    """What to note of what is made of a batch's descriptions as they are now."""
    build = store.ledger.build("descriptions", batch)
    noted = None if build is None else build.info.get(WORDS)
    return {} if noted is None else {WORDS: noted}


def words_by_batch(store: Store) -> dict[str, str]:
    """Batch → what tells the words of its descriptions, of every batch that has been described."""
    made = store.ledger.fingerprints("descriptions")
    noted = store.ledger.noted("descriptions", WORDS)
    return {b: digest([made[b], noted[b]]) if b in noted else made[b] for b in made}


def _words(descriptions: pa.Table) -> str:
    rows = descriptions.select(list(_COLUMNS)).to_pylist()
    return digest([[row[c] for c in _COLUMNS] for row in rows])[:32]
