"""The tables of a library as a search needs them: read when first asked for, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster import schemas
from aion_dagster.curation.library import live_rows
from aion_dagster.errors import StorageError
from aion_dagster.search.filters import (
    COLUMNS,
    DOCUMENT_COLUMNS,
    DocumentFilters,
    Filters,
    satisfying,
    satisfying_documents,
)
from aion_dagster.search.index import WordIndex
from aion_dagster.search.looks import LookIndex
from aion_dagster.search.palettes import PaletteIndex
from aion_dagster.search.vectors import VectorIndex
from aion_dagster.storage.shared_file import SharedFile
from aion_dagster.storage.store import Store


def shared_index(store: Store) -> SharedFile:
    """The index of words of a library."""
    return store.shared_file("index", "words.sqlite")


def index_path(store: Store) -> Path:
    """Where the index of words of a library lies on this machine."""
    return shared_index(store).path


class LibraryTables:
    """What is searched of one store; a later run is seen by the next object."""

    def __init__(self, store: Store, text_model: str | None, picture_model: str | None) -> None:
        """Tables of an open store; vectors of other models than these, where they are given, are left out."""
        self._store = store
        self._text_model = text_model
        self._picture_model = picture_model

    def close(self) -> None:
        """Release the index."""
        if "words" in self.__dict__:
            self.words.close()

    def allowed(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Which pictures in use satisfy the filters; None for all."""
        if not filters:
            return None
        mask = satisfying(self.pictures, filters)
        if filters.tags:
            tagged = pa.array(sorted(self.words.tagged(filters.tags)), pa.string())
            mask &= pc.is_in(self.ids, tagged).to_numpy()
        if filters.color is not None:
            having = pa.array(self.palette.having(filters.color))
            mask &= pc.is_in(
                self.ids, self.palette.images.filter(having).combine_chunks()
            ).to_numpy()
        return mask

    def documents_satisfying(self, filters: DocumentFilters) -> list[str] | None:
        """Ids of the documents that satisfy the filters; None for all."""
        if not filters:
            return None
        mask = satisfying_documents(self.documents, filters)
        return list(self.documents["document_id"].filter(pa.array(mask)).to_pylist())

    def mask(
        self, ids: pa.ChunkedArray, allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """Which rows of an index belong to pictures in use that are allowed; None for all."""
        wanted = self.ids if allowed is None else self.ids.filter(pa.array(allowed))
        mask: NDArray[np.bool_] = pc.is_in(ids, wanted.combine_chunks()).to_numpy()
        return None if mask.all() else mask

    @cached_property
    def pictures(self) -> pa.Table:
        """Pictures in use."""
        if not self._store.tables.exists("library"):
            raise StorageError(
                f"{self._store.root}: nothing to search yet; 'aion-dagster run SOURCE --store {self._store.home}' fills it"
            )
        columns = [
            "image_id",
            "uri",
            "phash",
            "size_bytes",
            *COLUMNS,
            "superseded_by",
            "deleted_at",
        ]
        table = self._store.tables.read("library", columns=columns)
        return live_rows(table)

    @cached_property
    def ids(self) -> pa.ChunkedArray:
        """Their ids."""
        return self.pictures["image_id"]

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Row of each id in `pictures`."""
        return {image: i for i, image in enumerate(self.ids.to_pylist())}

    @cached_property
    def documents(self) -> pa.Table:
        """Facts of the documents that are searched, of each the place that the index names."""
        columns = ["document_id", "batch", "uri"]
        places = zip(*self.words.document_places(), strict=True)
        known = pa.table(
            {c: pa.array(v, pa.string()) for c, v in zip(columns, places, strict=False)}
        )
        if not known.num_rows or not self._store.tables.exists("documents"):
            return schemas.DOCUMENTS.empty_table()
        facts = self._store.tables.dataset("documents").to_table([*columns, *DOCUMENT_COLUMNS])
        return known.join(facts, keys=columns, join_type="inner")

    @cached_property
    def words(self) -> WordIndex:
        """The index of words."""
        # The library first: a store that has none needs pictures rather than an index.
        _ = self.pictures
        return WordIndex.open(shared_index(self._store).fetch())

    @cached_property
    def palette(self) -> PaletteIndex:
        """Colors of the pictures in use."""
        columns = ["image_id", "dominant_colors"]
        table = self._store.tables.read("color_analyses", columns=columns)
        known = pc.is_in(table["image_id"], self.ids.combine_chunks())
        return PaletteIndex.from_table(table.filter(known))

    @cached_property
    def looks(self) -> LookIndex:
        """Descriptors of the pictures in use."""
        features = self._store.tables.read("visual_features", columns=["image_id", "descriptor"])
        known = pc.is_in(features["image_id"], self.ids.combine_chunks())
        return LookIndex.from_tables(features.filter(known), self.pictures)

    @cached_property
    def text_vectors(self) -> VectorIndex:
        """Vectors of descriptions."""
        return self._vectors("embeddings", "image_id", self._text_model)

    @cached_property
    def picture_vectors(self) -> VectorIndex:
        """Vectors of pictures by a joint model."""
        return self._vectors("image_embeddings", "image_id", self._picture_model)

    @cached_property
    def chunk_vectors(self) -> VectorIndex:
        """Vectors of pieces of documents."""
        return self._vectors("document_chunks", "chunk_id", self._text_model)

    def _vectors(self, table: str, key: str, model: str | None) -> VectorIndex:
        tables = self._store.tables
        paths = [tables.path(table, batch) for batch in tables.batches(table)]
        try:
            return VectorIndex.from_parquet(paths, key=key, model=model)
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            raise StorageError(
                f"Table {table!r} of {self._store.root} cannot be searched: {error}. Where a file is damaged, delete it "
                "and run again."
            ) from error
