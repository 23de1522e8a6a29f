"""A search among given things ranks them as the search of the whole library does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from known_library import BATCH, PAPERS, PICTURES, rows
from numpy.typing import NDArray

from aion_dagster import schemas
from aion_dagster.pipelines.builder import Pipeline
from aion_dagster.pipelines.kept import read_result
from aion_dagster.pipelines.local import LocalAgents
from aion_dagster.pipelines.runner import PipelineRun
from aion_dagster.storage.store import Store

MODEL = "by-hand"
LIKENESS = {"records-1": 0.9, "records-0": 0.8, "tree-1": 0.9, "tree-2": 0.8}
"""How near things are to whatever is asked; all others are as far as can be."""


def vector(likeness: float) -> list[float]:
    values = np.zeros(schemas.TEXT_VECTOR_DIMENSIONS, np.float32)
    values[:2] = likeness, (1 - likeness**2) ** 0.5
    return list(values)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([vector(1.0)] * len(texts), np.float32)


def add_vectors(store: Store) -> None:
    """To every picture and every piece."""
    chunks = store.tables.read("document_chunks", batch=BATCH).to_pylist()
    for row in chunks:
        row |= {"model": MODEL, "vector": vector(LIKENESS.get(row["chunk_id"], 0.0))}
    pictures = [
        {"image_id": i, "kind": "text", "model": MODEL, "vector": vector(LIKENESS.get(i, 0.0))}
        for i in PICTURES
    ]
    tables: Mapping[str, pa.Table] = {
        "document_chunks": rows(schemas.DOCUMENT_CHUNKS, chunks),
        "embeddings": rows(schemas.EMBEDDINGS, pictures),
    }
    for name, table in tables.items():
        store.tables.write(name, table, batch=BATCH)


def found(store: Store, pipeline: Pipeline, kind: str) -> list[str | None]:
    agents = LocalAgents(store, embed=embed, text_model=MODEL)
    config = pipeline.config()
    (finished,) = PipelineRun(config, store, agents).run()
    assert finished.stored is not None, finished.reason
    items = read_result(store, config.name, config.step_names[0]).items
    return [item.id for item in items if item.kind == kind]


@pytest.mark.parametrize(
    ("kind", "query", "expected"),
    [
        # Meaning counts twice as much as words: what only it finds comes before what only they do.
        ("chunk", "tenant", ["records-1", "records-0", "lease-0"]),
        ("image", "river", ["pole-2", "tree-1", "tree-2"]),
    ],
)
def test_words_and_meaning_count_alike_among_given_things_and_in_the_whole_library(
    store: Store, kind: str, query: str, expected: list[str]
) -> None:
    add_vectors(store)
    whole, few = Pipeline("whole"), Pipeline("few").with_images("all").with_documents([*PAPERS])
    if kind == "chunk":
        whole, few = whole.search_documents(query), few.search_documents(query)
    else:
        whole, few = whole.search_images(query), few.search_images(query)
    assert found(store, few, kind) == expected
    assert found(store, whole, kind) == expected


def test_what_is_only_akin_is_left_out_below_a_least_score(store: Store) -> None:
    add_vectors(store)
    for least, expected in [(0.85, ["pole-2", "tree-1"]), (1.0, ["pole-2"])]:
        for start in (Pipeline("whole"), Pipeline("few").with_images("all")):
            steps = start.search_images("river", min_score=least)
            assert found(store, steps, "image") == expected
