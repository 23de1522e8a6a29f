"""`LibrarySearch`: everything that can be asked of a library, from Python. Reads the tables; needs no service, no Dagster."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa

from aion_dagster.errors import AionError, UnavailableError
from aion_dagster.search.color_query import ColorQuery
from aion_dagster.search.document_search import search_documents
from aion_dagster.search.filters import DocumentFilters, Filters
from aion_dagster.search.found import Found, FoundChunk, Reason
from aion_dagster.search.fusion import reciprocal_rank
from aion_dagster.search.hits import Hit
from aion_dagster.search.library_tables import LibraryTables, index_path
from aion_dagster.search.looks import look_of_file
from aion_dagster.search.texts import DEPTH, LEAST_SIMILARITY, Embed, nearest_meaning, text_reasons
from aion_dagster.storage.store import Store

__all__ = ["LEAST_SIMILARITY", "LibrarySearch", "UnknownPictureError", "index_path"]

NO_FILTERS: Final = Filters()
ALL_DOCUMENTS: Final = DocumentFilters()


class UnknownPictureError(AionError, LookupError):
    """A picture was named that the library does not have."""


class LibrarySearch:
    """Questions to one library; `open` it, use it as a context manager or `close` it.

    Tables are read when they are first needed and kept: a later run is seen by the next `open`. Several threads may
    share one.
    """

    def __init__(
        self,
        store: Store,
        *,
        embed: Embed | None = None,
        text_model: str | None = None,
        embed_for_pictures: Embed | None = None,
        picture_model: str | None = None,
    ) -> None:
        """As `open`, on a store that is open already and stays so."""
        self.store = store
        self._embed = embed
        self._embed_for_pictures = embed_for_pictures
        self._tables = LibraryTables(store, text_model, picture_model)
        self._owned = False

    @classmethod
    def open(
        cls,
        store: str | Path,
        library: str = "default",
        *,
        embed: Embed | None = None,
        text_model: str | None = None,
        embed_for_pictures: Embed | None = None,
        picture_model: str | None = None,
    ) -> Self:
        """Open a library for searching; nothing is written.

        Args:
            store: the folder, or a `file://` URI.
            library: its name in the store.
            embed: the text model that `embeddings` and `document_chunks` were made with; without one, texts are
                searched by words alone.
            text_model: what the column `model` of these tables says of it; rows of other models are left out.
            embed_for_pictures: the text side of the joint model that `image_embeddings` was made with.
            picture_model: what the column `model` of that table says of it.

        Raises:
            StorageError: there is no such store.
        """
        opened = cls(
            Store.open(store, library=library, create=False),
            embed=embed,
            text_model=text_model,
            embed_for_pictures=embed_for_pictures,
            picture_model=picture_model,
        )
        opened._owned = True
        return opened

    def __enter__(self) -> Self:
        """The search itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release the index, and the store where `open` opened it."""
        self._tables.close()
        if self._owned:
            self.store.close()

    def __len__(self) -> int:
        """Pictures in use."""
        return int(self._tables.pictures.num_rows)

    def text(self, query: str, *, filters: Filters = NO_FILTERS, limit: int = 20) -> list[Found]:
        """Pictures by what is written about them and in them: the words themselves and their meaning, best first.

        Both rankings are joined by reciprocal rank; what both find comes first. Meaning below `LEAST_SIMILARITY` does
        not count, so that a query may find nothing.

        Raises:
            StorageError: there is no index, or a table cannot be read; the message says what to run.
        """
        allowed = self._tables.allowed(filters)
        among = None if allowed is None else self._tables.ids.filter(pa.array(allowed)).to_pylist()
        depth = max(limit, DEPTH)
        words = self._tables.words.search(query, depth, among=among)
        words = [hit for hit in words if hit.image_id in self._tables.place]
        meaning: list[Hit] = []
        if self._embed is not None and len(self._tables.text_vectors):
            index = self._tables.text_vectors
            mask = self._tables.mask(index.ids, allowed)
            meaning = nearest_meaning(self._embed, index, query, depth, mask)
        hits = reciprocal_rank([words, meaning], limit=limit)
        matches = self._tables.words.matches(query, [hit.image_id for hit in hits])
        near = {hit.image_id: hit.score for hit in meaning}
        return [
            self._found(hit, text_reasons(matches.get(hit.image_id, ()), near.get(hit.image_id)))
            for hit in hits
        ]

    def color(
        self,
        *,
        hex: str | None = None,
        name: str | None = None,
        family: str | None = None,
        delta_e_threshold: float = 15.0,
        min_percentage: float = 5.0,
        filters: Filters = NO_FILTERS,
        limit: int = 20,
    ) -> list[Found]:
        """Pictures that have a color, nearest first, then the larger share; the score is 1 - ΔE / threshold.

        Args:
            hex: `#rgb` or `#rrggbb`.
            name: a color's name, without regard to case; what is given of the three must hold for one and the same color.
            family: neutral, earth_tone, warm, cool, metallic, pastel or vibrant.
            delta_e_threshold: CIEDE2000 difference above 0 that is too far. About 2 is the same to the eye.
            min_percentage: share of the picture that the color must have, 0 to 100.
            filters: which pictures.
            limit: how many results at most.

        Raises:
            ColorQueryError: nothing was asked for, or the hex or the threshold is none.
        """
        query = ColorQuery(hex, name, family, delta_e_threshold, min_percentage)
        allowed = self._tables.allowed(filters)
        among = self._tables.mask(self._tables.palette.images, allowed)
        return [
            self._found(
                Hit(hit.image_id, hit.match_score),
                (
                    Reason(
                        "color",
                        hex=hit.matched_hex,
                        name=hit.matched_name,
                        percentage=hit.matched_percentage,
                        delta_e=hit.delta_e,
                    ),
                ),
            )
            for hit in self._tables.palette.search(query, limit, among=among)
        ]

    def like(
        self, picture: Path | str, *, filters: Filters = NO_FILTERS, limit: int = 20
    ) -> list[Found]:
        """Pictures that look like another: layout, tones and colors, not what is shown.

        Args:
            picture: a file, or as a string the id of a picture of the library, which is not among the results then.
            filters: which pictures.
            limit: how many results at most.

        Raises:
            SourceError: the file cannot be read, or is no picture.
            UnknownPictureError: the library has no picture of this id that could be compared.
        """
        allowed = self._tables.allowed(filters)
        if isinstance(picture, Path):
            look = look_of_file(picture)
        else:
            known = self._tables.looks.look_of(picture)
            if known is None:
                raise UnknownPictureError(
                    f"{picture!r} is no picture of this library that can be compared; name a file by its Path"
                )
            look = known
            allowed = np.ones(len(self), bool) if allowed is None else allowed
            allowed[self._tables.place.get(picture, slice(0, 0))] = False
        among = self._tables.mask(self._tables.looks.ids, allowed)
        hits = self._tables.looks.nearest(*look, limit, among=among)
        return [self._found(h, (Reason("looks", similarity=h.score),)) for h in hits]

    def image_text(
        self, query: str, *, filters: Filters = NO_FILTERS, limit: int = 20
    ) -> list[Found]:
        """Pictures that a joint model of pictures and texts finds near a text, nearest first.

        There is always a nearest one: similarities of such models have no common scale, so none is too low.

        Raises:
            UnavailableError: no joint model was given, or no picture has vectors of it.
        """
        if self._embed_for_pictures is None:
            raise UnavailableError(
                "Searching the pictures themselves needs a model such as SigLIP 2 or CLIP: name one as models.joint in the "
                "configuration and run again (from Python, give its text side as embed_for_pictures)"
            )
        index = self._tables.picture_vectors
        if not len(index):
            raise UnavailableError(
                f"{self.store.root} has no image vectors of this model; configure models.joint and run again"
            )
        vector = np.asarray(self._embed_for_pictures([query])[0], np.float32)
        hits = index.nearest(
            vector, limit, among=self._tables.mask(index.ids, self._tables.allowed(filters))
        )
        return [self._found(h, (Reason("picture_text", similarity=h.score),)) for h in hits]

    def documents(
        self, query: str, *, filters: DocumentFilters = ALL_DOCUMENTS, limit: int = 20
    ) -> list[FoundChunk]:
        """Pieces of documents by words and meaning, as `text` does it for pictures.

        Raises:
            UnavailableError: the library has no document with text.
            StorageError: as `text`.
        """
        if not self._tables.words.has_documents():
            raise UnavailableError(
                f"{self.store.root} has no document with text; name the formats to read in the configuration, such as "
                "documents: [pdf, docx, txt, md], and run again"
            )
        return search_documents(self._tables, self._embed, query, filters, limit)

    def _found(self, hit: Hit, reasons: tuple[Reason, ...]) -> Found:
        place = self._tables.place[hit.image_id]
        name, uri = (self._tables.pictures[c][place].as_py() for c in ("name", "uri"))
        return Found(hit.image_id, name, uri, hit.score, reasons)
