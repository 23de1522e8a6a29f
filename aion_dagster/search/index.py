"""Words: a full-text index in one SQLite file (FTS5), read."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from aion_dagster.errors import StorageError
from aion_dagster.search.field_matches import FieldMatch, field_matches
from aion_dagster.search.hits import Hit
from aion_dagster.search.index_file import open_for_reading
from aion_dagster.search.index_update import tag_key
from aion_dagster.search.word_ranking import CHUNKS, PICTURES, Texts, WordRanking
from aion_dagster.search.words import terms_of

_MANY_TIES: Final = 500
"""Ids that are looked up one by one; for more, all are read once and kept."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: what is shown of it."""

    chunk_id: str
    document_id: str
    name: str
    uri: str
    page_numbers: tuple[int, ...]
    heading: tuple[str, ...]
    content: str


class WordIndex:
    """A built index, opened for reading. Several threads may share one; `close` it, or use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the index; one that is built later under the same name is seen by the next `open`.

        Raises:
            StorageError: there is no index, or the file is something else, or from another version.
        """
        return cls(path, open_for_reading(path))

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def search(
        self, query: str, limit: int = 20, *, among: Collection[str] | None = None
    ) -> list[Hit]:
        """Pictures whose texts have the words, best first, equal ones in the order of their ids.

        Pictures with all words; where there are none, those with any, but for words that half of all pictures have
        where others are found. Case and accents do not count; a word is also found as the beginning of a longer one,
        where fewer than `limit` have it itself; "words in quotes" are found in this order only. Nothing else in a query
        has a meaning, so that any text may be searched for. Words are not inflected or translated. Where more than
        `MOST_RANKED` pictures have the words, as many are ranked: those with a rarer one, and those with the words in
        title or tags.

        Args:
            query: what somebody typed. One without letters or digits finds nothing.
            limit: how many hits at most.
            among: ids of the pictures that may be found; all by default.

        Raises:
            StorageError: the index cannot be read any more.
        """
        return self._search(PICTURES, query, limit, self._rows(among))

    def search_chunks(
        self, query: str, limit: int = 20, *, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """As `search`, for pieces of all or some documents; the ids of the hits are chunk ids."""
        among = None if documents is None else [row for row, _ in self._pieces(documents)]
        return self._search(CHUNKS, query, limit, among)

    def matches(self, query: str, image_ids: Sequence[str]) -> dict[str, tuple[FieldMatch, ...]]:
        """Which words of a query stand in which fields of some pictures, fields in the order of their weight."""
        return self._matches(PICTURES, query, image_ids)

    def chunk_matches(
        self, query: str, chunk_ids: Sequence[str]
    ) -> dict[str, tuple[FieldMatch, ...]]:
        """As `matches`, for pieces of documents."""
        return self._matches(CHUNKS, query, chunk_ids)

    def tagged(self, tags: Iterable[str]) -> set[str]:
        """Ids of the pictures that have all of some tags, without regard to case."""
        found: set[str] | None = None
        for tag in tags:
            rows = self._ask(
                "SELECT image_id FROM tags JOIN pictures USING (picture) WHERE tag = ?",
                (tag_key(tag),),
            )
            ids = {image for (image,) in rows}
            found = ids if found is None else found & ids
        return found or set()

    def chunks(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """Some pieces of documents by id; those that the index does not have are left out."""
        rows = self._ask(
            "SELECT c.chunk_id, d.document_id, d.name, d.uri, c.page_numbers, w.heading, w.content "
            "FROM chunks c JOIN documents d USING (document) JOIN chunk_words w ON w.rowid = c.chunk "
            "WHERE c.chunk_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(chunk_ids)),),
        )
        return {
            chunk: Chunk(
                chunk,
                document,
                name,
                uri,
                tuple(json.loads(pages)),
                tuple(heading.split("\n")) if heading else (),
                content,
            )
            for chunk, document, name, uri, pages, heading, content in rows
        }

    def chunk_ids(self, documents: Collection[str] | None = None) -> list[str]:
        """Ids of all pieces, or of those of some documents."""
        if documents is None:
            return [chunk for (chunk,) in self._ask("SELECT chunk_id FROM chunks", ())]
        return [chunk for _, chunk in self._pieces(documents)]

    def has_documents(self) -> bool:
        """Whether there is any document with text."""
        return bool(self._ask("SELECT 1 FROM chunks LIMIT 1", ()))

    def document_places(self) -> list[tuple[str, str, str]]:
        """document_id, batch and uri of every document."""
        return self._ask("SELECT document_id, batch, uri FROM documents", ())

    def _pieces(self, documents: Collection[str]) -> list[tuple[int, str]]:
        """Row and id of each piece of some documents."""
        return self._ask(
            "SELECT chunk, chunk_id FROM chunks JOIN documents USING (document) "
            "WHERE document_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(documents)),),
        )

    def _search(self, texts: Texts, query: str, limit: int, among: list[int] | None) -> list[Hit]:
        if limit <= 0 or among == []:
            return []
        found = WordRanking(texts, self._ask, among).costs(terms_of(query), limit)
        return self._best(texts, found, limit)

    def _best(self, texts: Texts, found: list[tuple[int, float]], limit: int) -> list[Hit]:
        found.sort(key=lambda row: row[1])
        if len(found) > limit:
            last = found[limit - 1][1]
            found = [row for row in found if row[1] <= last]
        ids = self._ids_of(texts, [row for row, _ in found])
        hits = [Hit(ids[row], -cost) for row, cost in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))[:limit]

    def _matches(
        self, texts: Texts, query: str, ids: Sequence[str]
    ) -> dict[str, tuple[FieldMatch, ...]]:
        rows = self._ask(
            f"SELECT o.{texts.id_column}, {', '.join(f'w.{c}' for c in texts.columns)} "  # noqa: S608 - constants
            f"FROM {texts.owners} o JOIN {texts.words} w ON w.rowid = o.{texts.key} "
            f"WHERE o.{texts.id_column} IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return field_matches(texts.weights, query, {row[0]: row[1:] for row in rows})

    def _ids_of(self, texts: Texts, rows: Sequence[int]) -> dict[int, str]:
        if texts is PICTURES and (len(rows) > _MANY_TIES or "_ids" in self.__dict__):
            return self._ids
        found = self._ask(
            f"SELECT {texts.key}, {texts.id_column} FROM {texts.owners} "  # noqa: S608 - constants
            f"WHERE {texts.key} IN (SELECT value FROM json_each(?))",
            (json.dumps(rows),),
        )
        return dict(found)

    @cached_property
    def _ids(self) -> dict[int, str]:
        """Image id of every picture by number, read where very many are needed at once."""
        return dict(self._ask("SELECT picture, image_id FROM pictures", ()))

    def _rows(self, among: Collection[str] | None) -> list[int] | None:
        if among is None:
            return None
        numbers = self._numbers
        return [numbers[image] for image in among if image in numbers]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {image: number for number, image in self._ids.items()}

    def _ask(self, statement: str, arguments: Sequence[Any]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.Error as error:
            raise StorageError(
                f"the search index {self.path} cannot be read ({error}); delete it, "
                "'aion-dagster run' builds it anew"
            ) from error
