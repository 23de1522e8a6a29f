"""A selection as configured asks for the pictures that satisfy all of it, searches included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from aion_dagster import schemas
from aion_dagster.errors import ConfigError, StorageError, UnavailableError
from aion_dagster.search.index_update import update_index
from aion_dagster.search.library import index_path
from aion_dagster.search.selecting import Models, selected_pictures
from aion_dagster.search.selection import SelectConfig
from aion_dagster.storage.store import Store

MODEL = "letters-1"
TITLES = {"dog": "A dog on grass", "hound": "A hound in the snow", "sea": "Waves", "bare": ""}
CODES = {"dog": "#40a040", "hound": "#f0f0f0", "sea": "#2050c0", "bare": "#40a244"}


def embed(texts: list[str]) -> NDArray[np.float32]:
    """Dogs in one direction, everything else in another."""
    vectors = np.zeros((len(texts), schemas.TEXT_VECTOR_DIMENSIONS), np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        vector[0 if "dog" in text or "hound" in text else 1] = 1.0
    return vectors


MODELS = Models(embed=embed, text_model=MODEL)


def rows(schema: pa.Schema, values: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | v for v in values], schema=schema)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Four pictures in use and one that is deleted; one of them is not described."""
    with Store.open(tmp_path) as opened:
        library = [
            {"image_id": i, "name": f"{'pets' if i in ('dog', 'hound') else 'other'}/{i}.jpg", "uri": i,
             "source": "phone" if i == "dog" else "archive", "width": w, "height": 100, "size_bytes": 10 * w,
             "format": "jpeg", "media_type": "image/jpeg", "phash": "0" * 16,
             "captured_at": datetime(2026, 5, 31, 23, 0) if i == "sea" else None,
             "deleted_at": datetime(2026, 1, 1, tzinfo=UTC) if i == "gone" else None}
            for i, w in (("dog", 640), ("hound", 320), ("sea", 4000), ("bare", 100), ("gone", 640))
        ]  # fmt: skip
        table = rows(schemas.LIBRARY, library)
        opened.tables.write("library", table)
        described = rows(
            schemas.DESCRIPTIONS,
            [
                {"image_id": i, "title": t, "description": t, "tags": ["Pet", t[:5]] if t else [],
                 "description_status": "completed" if t else "failed"}
                for i, t in TITLES.items()
            ],
        )  # fmt: skip
        opened.tables.write("descriptions", described, batch="a")
        colors: dict[str, Any] = {f.name: None for f in schemas.DOMINANT_COLOR}
        colors |= {"percentage": 60.0, "family": "cool"}
        made = [{"image_id": i, "dominant_colors": [colors | {"hex": c}]} for i, c in CODES.items()]
        opened.tables.write("color_analyses", rows(schemas.COLOR_ANALYSES, made), batch="a")
        vectors = [
            {"image_id": i, "kind": "text", "model": MODEL, "vector": embed([t])[0]}
            for i, t in TITLES.items() if t
        ]  # fmt: skip
        opened.tables.write("embeddings", rows(schemas.EMBEDDINGS, vectors), batch="a")
        looks = [
            {
                "image_id": i,
                "descriptor": np.random.default_rng(i in ("dog", "hound")).random(
                    schemas.DESCRIPTOR_DIMENSIONS
                ),
            }
            for i in TITLES
        ]
        opened.tables.write("visual_features", rows(schemas.VISUAL_FEATURES, looks), batch="a")
        update_index(
            index_path(opened),
            library=table,
            batches={"a": "1"},
            read_descriptions=lambda _: described,
            documents=None,
            document_batches=None,
            read_chunks=lambda _: schemas.DOCUMENT_CHUNKS.empty_table(),
        )
        yield opened


def found(store: Store, **select: Any) -> list[str]:
    ids: list[str] = selected_pictures(
        SelectConfig.model_validate(select), store, MODELS
    ).to_pylist()
    return ids


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        ({}, ["bare", "dog", "hound", "sea"]),
        ({"sources": "phone"}, ["dog"]),
        ({"names": ["pets/*"]}, ["dog", "hound"]),
        ({"min_width": 320, "max_width": 640}, ["dog", "hound"]),
        ({"max_bytes": 1000}, ["bare"]),
        ({"since": "2026-05-31"}, ["sea"]),
        ({"until": "2026-05-31T22:00:00"}, []),
        ({"tags": ["pet"]}, ["dog", "hound", "sea"]),
        ({"any_tags": ["waves", "a dog"]}, ["dog", "sea"]),
        ({"described": False}, ["bare"]),
        ({"text": "SNOW"}, ["hound"]),
        ({"text": {"contains": "pets", "field": "title"}}, []),
        ({"text": {"contains": "bare", "field": "name"}}, ["bare"]),
        ({"color": "#40a040"}, ["bare", "dog"]),
        ({"color": {"hex": "#40a040", "delta_e": 0.5}}, ["dog"]),
        ({"color": "cool"}, ["bare", "dog", "hound", "sea"]),
        ({"search": {"words": "dog"}}, ["dog"]),
        ({"search": {"meaning": "dog"}}, ["dog", "hound"]),
        ({"search": {"meaning": "dog", "top": 1}}, ["dog"]),
        ({"search": {"meaning": "waves", "min_score": 0.0}}, ["dog", "hound", "sea"]),
        ({"search": {"text": "dog"}}, ["dog", "hound"]),
        ({"search": {"color": "#40a040", "top": 1}}, ["dog"]),
        ({"search": {"color": "#40a040", "min_score": 0.99}}, ["dog"]),
        ({"search": {"like": "dog", "top": 2}}, ["dog", "hound"]),
        ({"names": ["other/*"], "search": {"color": "#40a040", "top": 1}}, ["bare"]),
        ({"any_of": [{"sources": ["phone"]}, {"min_width": 1000}]}, ["dog", "sea"]),
        ({"none_of": {"search": {"meaning": "dog"}}}, ["bare", "sea"]),
        ({"all_of": [{"tags": ["pet"]}, {"none_of": [{"text": "waves"}]}]}, ["dog", "hound"]),
        ({"sources": "phone", "search": {"words": "snow"}}, []),
    ],
)  # fmt: skip
def test_a_selection_asks_for(store: Store, select: dict[str, Any], wanted: list[str]) -> None:
    assert found(store, **select) == wanted
    assert found(store, **select) == wanted


def test_a_search_that_cannot_be_made_says_what_is_missing(store: Store) -> None:
    select = SelectConfig.model_validate({"search": {"meaning": "dog"}})
    with pytest.raises(UnavailableError, match=r"select\.search\.meaning"):
        selected_pictures(select, store, Models())
    with pytest.raises(ConfigError, match=r"select\.search\.like"):
        found(store, search={"like": "nobody"})
    with pytest.raises(UnavailableError, match=r"models\.joint"):
        found(store, search={"picture": "a dog"})
    index_path(store).unlink()
    with pytest.raises(StorageError):
        found(store, search={"words": "dog"})


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ({"search": {}}, "exactly one of words"),
        ({"search": {"words": "a", "meaning": "b"}}, "exactly one of words"),
        ({"search": {"words": "a", "min_score": 0.5}}, "use top"),
        ({"color": {"min_percentage": 5}}, "name a color"),
        ({"color": {"hex": "red"}}, "is no color"),
        ({"any_of": [{"widht": 5}]}, "Extra inputs"),
    ],
)
def test_a_selection_that_cannot_be_understood_is_refused(select: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SelectConfig.model_validate(select)


def test_a_selection_knows_which_tables_it_reads() -> None:
    nested = {"any_of": [{"color": "#fff"}, {"none_of": [{"search": {"text": "dog"}}]}]}
    assert SelectConfig.model_validate(nested).reads() == {
        "color_analyses", "descriptions", "embeddings", "search_index",
    }  # fmt: skip
    assert SelectConfig.model_validate({"min_width": 5}).reads() == frozenset()
