"""What the library's tables know of pictures, documents and links: the evidence that local agents work from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from aion_dagster.errors import AionError
from aion_dagster.pipelines.evidence_values import (
    Link,
    Picture,
    Piece,
    link_of,
    picture_of,
    piece_of,
)
from aion_dagster.storage.store import Store

MOST_ITEMS: Final = 50_000
"""Pictures or pieces that a local agent looks at together; more would not fit a report."""


class TooMuchError(AionError):
    """More than a local agent looks at; the message says how to have less."""


class Material:
    """Reads the tables of one library; of one batch alone where it is named. Several threads may share one."""

    def __init__(self, store: Store, batch: str | None = None) -> None:
        """Nothing is read before it is asked for."""
        self._store = store
        self._batch = batch

    def pictures(self, ids: Collection[str] | None = None) -> list[Picture]:
        """Pictures by their ids, in that order; all usable ones without. Ids that are not there are left out.

        Raises:
            TooMuchError: they are more than `MOST_ITEMS`.
        """
        rows = {row["image_id"]: row for row in self._images(ids).to_pylist()}
        order = list(rows) if ids is None else [i for i in dict.fromkeys(ids) if i in rows]
        _few(len(order), "pictures")
        described = self._by_id("descriptions", _DESCRIBED, order)
        colors = self._by_id("color_analyses", _COLORS, order)
        labels, groups = self._labels(order), self._near
        return [
            picture_of(
                rows[i],
                described.get(i, {}),
                colors.get(i, {}),
                labels.get(i, ()),
                groups.get(i),
                self._batch or rows[i].get("batch") or "",
            )
            for i in order
        ]

    def documents(self, ids: Collection[str] | None = None) -> dict[str, str]:
        """Id → name of the documents with text, in the order of `ids`."""
        found: dict[str, str] = {}
        if not self._exists("documents"):
            return {}
        condition = ds.field("text_extraction_status") == "completed"
        columns = ["document_id", "name", "source", "uri", "version"]
        current = self._current_files
        for row in self._rows("documents", columns, condition).to_pylist():
            if (row["source"], row["uri"], row["version"]) in current:
                found.setdefault(row["document_id"], row["name"])
        if ids is None:
            return found
        return {i: found[i] for i in dict.fromkeys(ids) if i in found}

    def pieces(
        self,
        documents: Collection[str] | None = None,
        chunks: Collection[str] | None = None,
    ) -> list[Piece]:
        """Pieces of documents, in their order; all of `documents`, or `chunks` alone where these are named.

        Raises:
            TooMuchError: they are more than `MOST_ITEMS`.
        """
        names = self.documents()
        if not names or not self._exists("document_chunks"):
            return []
        wanted = pa.array(sorted(names if documents is None else documents), pa.string())
        condition = ds.field("document_id").isin(wanted)
        if chunks is not None:
            condition &= ds.field("chunk_id").isin(pa.array(sorted(chunks), pa.string()))
        table = self._rows("document_chunks", _CHUNKS, condition)
        _few(table.num_rows, "pieces of documents")
        rows = {row["chunk_id"]: row for row in table.to_pylist()}
        pieces = [piece_of(row, names) for row in rows.values() if row["document_id"] in names]
        return sorted(pieces, key=lambda p: (p.document, p.document_id, p.index))

    def links(self, ids: Collection[str] | None = None) -> list[Link]:
        """Links of the library, in the order of the table."""
        if not self._store.tables.exists("links"):
            return []
        rows = self._store.tables.read("links").to_pylist()
        found = [link_of(row) for row in rows if row.get("link_id") or row.get("source_url")]
        return [link for link in found if ids is None or link.id in ids]

    def picture_vectors(self, pictures: Sequence[Picture]) -> NDArray[np.float32] | None:
        """A unit vector per picture (n, d): of its description, else of its looks; None where some have neither.

        Measured facts read alike: where there is nothing else to read, looks come first.
        """
        ids = [p.id for p in pictures]
        places = [("embeddings", "vector"), ("visual_features", "descriptor")]
        if all(p.is_measured for p in pictures):
            places.reverse()
        for table, column in places:
            found = self._vectors(table, "image_id", column, ids)
            if found is not None:
                return found
        return None

    def text_vectors(self, table: str, key: str, ids: Sequence[str]) -> NDArray[np.float32] | None:
        """Text vectors (n, d) of pictures or pieces; None where not all have one of the same model."""
        return self._vectors(table, key, "vector", ids)

    def existing(self, kind: str, ids: Collection[str]) -> set[str]:
        """Which of some ids the library has."""
        wanted = pa.array(sorted(ids), pa.string())
        if kind == "link":
            return {link.id for link in self.links(ids)}
        table, column = {
            "image": ("images", "image_id"),
            "document": ("documents", "document_id"),
            "chunk": ("document_chunks", "chunk_id"),
        }[kind]
        if not self._exists(table):
            return set()
        found = self._rows(table, [column], ds.field(column).isin(wanted))
        return set(found[column].to_pylist())

    def _images(self, ids: Collection[str] | None) -> pa.Table:
        """Rows of usable pictures, one per id: of the batch, else of the library."""
        chosen = (
            None if ids is None else ds.field("image_id").isin(pa.array(sorted(ids), pa.string()))
        )
        if self._batch is None:
            if not self._store.tables.exists("library"):
                return pa.table({name: pa.array([], pa.string()) for name in _IMAGES})
            live = pc.is_null(ds.field("superseded_by")) & pc.is_null(ds.field("deleted_at"))
            condition = live if chosen is None else live & chosen
            table = self._store.tables.read(
                "library",
                columns=[*_IMAGES, "batch", "superseded_by", "deleted_at"],
                image_ids=ids,
            )
            return table.filter(condition).select([*_IMAGES, "batch"])
        usable = (ds.field("status") == "ok") & pc.is_valid(ds.field("image_id"))
        return self._rows("images", _IMAGES, usable if chosen is None else usable & chosen)

    def _exists(self, table: str) -> bool:
        return self._store.tables.exists(table, self._batch)

    def _rows(self, table: str, columns: Sequence[str], condition: pc.Expression) -> pa.Table:
        tables = self._store.tables
        if self._batch is not None:
            needed = tables.read(table, batch=self._batch)
            return needed.filter(condition).select(list(columns))
        return tables.dataset(table).to_table(columns=list(columns), filter=condition)

    def _by_id(
        self, table: str, columns: Sequence[str], ids: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        if not self._exists(table):
            return {}
        wanted = ds.field("image_id").isin(pa.array(ids, pa.string()))
        rows = self._rows(table, ["image_id", *columns], wanted).to_pylist()
        return {row["image_id"]: row for row in rows}

    def _labels(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if not self._exists("annotations"):
            return {}
        wanted = ds.field("image_id").isin(pa.array(ids, pa.string()))
        chosen = wanted & ds.field("origin").isin(["labels", "objects"])
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for row in self._rows("annotations", ["image_id", "category"], chosen).to_pylist():
            found[row["image_id"]][row["category"]] = None
        return {image: tuple(names) for image, names in found.items()}

    @cached_property
    def _current_files(self) -> set[tuple[str, str, str]]:
        """The latest version of every file that is still there."""
        return {(v.source, v.uri, v.version) for v in self._store.ledger.current_versions()}

    @cached_property
    def _near(self) -> dict[str, str]:
        if not self._store.tables.exists("near_duplicates"):
            return {}
        rows = self._store.tables.read("near_duplicates").to_pylist()
        return {row["image_id"]: row["group_id"] for row in rows}

    def _vectors(
        self, table: str, key: str, column: str, ids: Sequence[str]
    ) -> NDArray[np.float32] | None:
        """Unit vectors in the order of ids; None where one is missing or of another length or model."""
        if not ids or not self._exists(table):
            return None
        is_modelled = column == "vector"
        columns = [key, column, *(["model"] if is_modelled else [])]
        rows = self._rows(table, columns, ds.field(key).isin(pa.array(ids, pa.string())))
        found = {r[key]: r[column] for r in rows.to_pylist() if r[column] is not None}
        models = set(rows["model"].drop_null().to_pylist()) if is_modelled else set()
        if len(models) > 1 or not all(i in found for i in ids):
            return None
        matrix = np.array([found[i] for i in ids], np.float32)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not np.isfinite(matrix).all() or not lengths.all():
            return None
        return np.asarray(matrix / lengths, np.float32)


_IMAGES: Final = ("image_id", "name", "uri", "captured_at", "gps")
_DESCRIBED: Final = ("title", "description", "tags", "visible_text", "model")
_COLORS: Final = ("dominant_colors", "brightness_category")
_CHUNKS: Final = (
    "chunk_id",
    "document_id",
    "chunk_index",
    "content",
    "page_numbers",
    "heading_hierarchy",
)


def _few(count: int, what: str) -> None:
    if count > MOST_ITEMS:
        raise TooMuchError(
            f"{count} {what} are more than the {MOST_ITEMS} that a local agent looks at together: put a search before it, "
            "or seeds by batch"
        )
