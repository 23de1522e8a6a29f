"""The pictures that a selection asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.curation.columns import places_in
from aion_dagster.errors import ConfigError, UnavailableError
from aion_dagster.search.color_query import ColorQuery
from aion_dagster.search.filters import Filters, satisfying
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.library_tables import LibraryTables
from aion_dagster.search.selection import (
    ColorCondition,
    SearchCondition,
    SelectConfig,
    TextCondition,
)
from aion_dagster.search.texts import DEPTH, LEAST_SIMILARITY, Embed
from aion_dagster.search.vectors import VectorIndex
from aion_dagster.storage.store import Store

Mask = NDArray[np.bool_]

_TEXTS: Final = ("title", "description", "visible_text")
_COLUMNS: Final = ("image_id", "description_status", "tags", *_TEXTS)


@dataclass(frozen=True)
class Models:
    """What texts become vectors by: for descriptions, and for pictures themselves; None where there is no model."""

    embed: Embed | None = None
    text_model: str | None = None
    embed_for_pictures: Embed | None = None
    picture_model: str | None = None


def selected_pictures(select: SelectConfig, store: Store, models: Models) -> pa.Array:
    """Ids of the pictures in use that satisfy a selection, ascending; the tables of `store` as they are now.

    Raises:
        UnavailableError: a search needs a model or vectors that are not there.
        StorageError: a table or the index of words has not been written.
        ConfigError: a search names a picture that the library does not have.
    """
    tables = LibraryTables(store, models.text_model, models.picture_model)
    try:
        mask = _Selection(tables, store, models).mask(select)
        ids = tables.ids.filter(pa.array(mask)).combine_chunks()
    finally:
        tables.close()
    return ids.take(pc.sort_indices(ids))


class _Selection:
    """One evaluation: what several blocks look at is read once."""

    def __init__(self, tables: LibraryTables, store: Store, models: Models) -> None:
        self._tables = tables
        self._store = store
        self._models = models
        self._pictures = tables.pictures

    def mask(self, block: SelectConfig) -> Mask:
        """Which pictures satisfy a block."""
        mask = self._of_library(block)
        if block.tags or block.any_tags:
            mask &= self._tagged(block.tags, block.any_tags)
        if block.described is not None:
            mask &= self._described == block.described
        if block.text is not None:
            mask &= self._says(block.text)
        if block.color is not None:
            mask &= self._having(block.color)
        for inner in block.all_of:
            mask &= self.mask(inner)
        if block.any_of:
            mask &= np.logical_or.reduce([self.mask(inner) for inner in block.any_of])
        for inner in block.none_of:
            mask &= ~self.mask(inner)
        if block.search is not None:
            # Last, and among what satisfies all else, so that `top` is filled where it can be.
            mask = self._found(block.search, mask)
        return mask

    def _of_library(self, block: SelectConfig) -> Mask:
        sizes = ("min_width", "max_width", "min_height", "max_height")
        filters = Filters(
            since=block.since,
            until=block.until,
            sources=block.sources,
            formats=block.formats,
            names=block.names,
            **{name: getattr(block, name) for name in sizes},
        )
        mask = satisfying(self._pictures, filters)
        for limit, compare in ((block.min_bytes, pc.greater_equal), (block.max_bytes, pc.less_equal)):  # fmt: skip
            if limit is not None:
                mask &= pc.fill_null(compare(self._pictures["size_bytes"], limit), False).to_numpy()
        return mask

    @cached_property
    def _texts(self) -> pa.Table:
        """What is written about each picture, in the order of pictures; nulls where nothing is."""
        table = self._store.tables.read("descriptions", columns=list(_COLUMNS))
        places = places_in(self._pictures["image_id"], table["image_id"])
        return table.take(pa.array(places, mask=places < 0))

    @property
    def _described(self) -> Mask:
        status = pc.fill_null(pc.equal(self._texts["description_status"], "completed"), False)
        written = pc.fill_null(pc.not_equal(self._texts["description"], ""), False)
        return np.asarray(pc.and_(status, written).to_numpy())

    def _tagged(self, everyone: Sequence[str], anyone: Sequence[str]) -> Mask:
        lists = self._texts["tags"].combine_chunks()
        owners = pc.list_parent_indices(lists).to_numpy()
        tags = pc.utf8_lower(pc.list_flatten(lists))

        def having(tag: str) -> Mask:
            mask = np.zeros(len(lists), dtype=bool)
            same = pc.fill_null(pc.equal(tags, tag.lower()), False).to_numpy(zero_copy_only=False)
            mask[owners[same]] = True
            return mask

        mask = np.ones(len(lists), dtype=bool)
        for tag in everyone:
            mask &= having(tag)
        return mask & np.logical_or.reduce([having(t) for t in anyone]) if anyone else mask

    def _says(self, condition: TextCondition) -> Mask:
        fields = ("name", *_TEXTS, "tags") if condition.field == "any" else (condition.field,)
        mask = np.zeros(self._pictures.num_rows, dtype=bool)
        for field in fields:
            column = self._pictures["name"] if field == "name" else self._texts[field]
            if field == "tags":
                column = pc.binary_join(column, "\n")
            fits = pc.match_substring(column, condition.contains, ignore_case=True)
            mask |= pc.fill_null(fits, False).to_numpy()
        return mask

    def _having(self, color: ColorCondition) -> Mask:
        palette = self._tables.palette
        own = palette.images.filter(pa.array(palette.having(_query(color))))
        return np.asarray(places_in(self._pictures["image_id"], own) >= 0)

    def _found(self, search: SearchCondition, allowed: Mask) -> Mask:
        limit = self._pictures.num_rows if search.top is None else search.top
        if not allowed.any():
            return allowed
        hits = self._hits(search, allowed, limit)
        least = -np.inf if search.min_score is None else search.min_score
        ids = pa.array([image for image, score in hits if score >= least][:limit], pa.string())
        return np.asarray((places_in(self._pictures["image_id"], ids) >= 0) & allowed)

    def _hits(self, search: SearchCondition, allowed: Mask, limit: int) -> list[tuple[str, float]]:
        """Ids and scores, best first."""
        tables = self._tables
        if search.color is not None:
            palette = tables.palette
            among = tables.mask(palette.images, allowed)
            colors = palette.search(_query(search.color), limit, among=among)
            return [(hit.image_id, hit.match_score) for hit in colors]
        if search.like is not None:
            look = tables.looks.look_of(search.like)
            if look is None:
                raise ConfigError(
                    f"select.search.like: {search.like!r} is no picture of this library that can be compared"
                )
            among = tables.mask(tables.looks.ids, allowed)
            return [(h.image_id, h.score) for h in tables.looks.nearest(*look, limit, among=among)]
        if search.picture is not None:
            return _nearest(tables, tables.picture_vectors, self._models.embed_for_pictures, search.picture, allowed, limit, "picture", -np.inf)  # fmt: skip
        depth = limit if search.text is None else max(limit, DEPTH)
        rankings = []
        if search.meaning is None:
            ids = tables.ids.filter(pa.array(allowed)).to_pylist()
            words = tables.words.search(search.words or search.text or "", depth, among=ids)
            rankings.append([(hit.image_id, hit.score) for hit in words])
        if search.words is None:
            floor = LEAST_SIMILARITY if search.min_score is None else -np.inf
            rankings.append(_nearest(tables, tables.text_vectors, self._models.embed, search.meaning or search.text or "", allowed, depth, "meaning", floor))  # fmt: skip
        if len(rankings) == 1:
            return rankings[0]
        fused = reciprocal_rank([[Hit(*hit) for hit in r] for r in rankings], limit=limit)
        return [(hit.image_id, hit.score) for hit in fused]


def _nearest(
    tables: LibraryTables,
    index: VectorIndex,
    embed: Embed | None,
    query: str,
    allowed: Mask,
    limit: int,
    kind: str,
    floor: float,
) -> list[tuple[str, float]]:
    if embed is None or not len(index):
        what = "models.joint" if kind == "picture" else "the extra 'text' and text_model"
        raise UnavailableError(
            f"select.search.{kind}: there is no model, or the library has no vectors of it; configure {what} and run again"
        )
    vector = np.asarray(embed([query])[0], np.float32)
    hits = index.nearest(vector, limit, among=tables.mask(index.ids, allowed), floor=floor)
    return [(hit.image_id, hit.score) for hit in hits]


def _query(color: ColorCondition) -> ColorQuery:
    return ColorQuery(color.hex, color.name, color.family, color.delta_e, color.min_percentage)
