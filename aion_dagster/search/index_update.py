"""Bring the words of the index up to date with the Parquet tables: only what changed is read and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from aion_dagster.curation.library import live_rows
from aion_dagster.search.index_documents import CHUNK_COLUMNS, IndexedDocuments, document_places
from aion_dagster.search.index_file import is_index, replacing
from aion_dagster.search.index_state import KnownBatches, Place, Read, indexable, number_of

__all__ = [
    "CHUNK_COLUMNS",
    "WORD_COLUMNS",
    "IndexUpdate",
    "read_again",
    "tag_key",
    "tag_keys",
    "update_index",
]

WORD_COLUMNS: Final = ("title", "description", "tags", "visible_text")
"""Columns of `descriptions` that are searched, beside the picture's name."""

NO_BATCH: Final = ""
"""Where a picture's words come from that no batch describes: it has its name only."""

_AT_ONCE: Final = 10_000
"""Pictures that are written in the order of their numbers, but for one batch with more."""

Words = tuple[str, str, str, str, str]
"""name, title, description, tags (a line each) and visible text of a picture."""


@dataclass(frozen=True, slots=True)
class IndexUpdate:
    """What an update did: pictures in the index now, and how many of them came, changed and went; documents likewise."""

    rows: int
    added: int
    changed: int
    removed: int
    documents: int = 0
    chunks: int = 0


def update_index(
    target: Path,
    *,
    library: pa.Table,
    batches: Mapping[str, str],
    read_descriptions: Read,
    documents: pa.Table | None = None,
    document_batches: Mapping[str, str] | None = None,
    read_chunks: Read | None = None,
) -> IndexUpdate:
    """Make the index say what the tables say; an index that is there is changed, not built anew.

    Read are the batches whose fingerprint is another than last time, and those of pictures that are new or moved;
    written are the rows that differ. A picture's words come from the batch that the library names, or, where that is
    not described, from the first batch of its locations that is. Readers see the old index or the new one, and a
    killed update leaves the old one whole.

    Args:
        target: the index file. What is no index of this format is replaced.
        library: columns image_id, name, batch, locations and superseded_by of schema `LIBRARY`; superseded pictures
            are not searched.
        batches: batch → fingerprint of its descriptions, of every batch that has been described.
        read_descriptions: image_id and `WORD_COLUMNS` of such a batch; of several rows of a picture the first counts.
        documents: columns document_id, name, uri and batch of the documents that are searched; of several rows of a
            document the first counts. Without them the index has none.
        document_batches: batch → fingerprint of its chunks.
        read_chunks: `CHUNK_COLUMNS` of such a batch.

    Raises:
        StorageError: the index cannot be written; `target` is as it was.
        KeyError: a table lacks a column.
    """
    pictures = _picture_places(library, batches)
    papers = document_places(documents, document_batches or {})
    with replacing(target) as (connection, fresh):
        changes = _Pictures(connection, batches, read_descriptions).update(pictures)
        IndexedDocuments(connection, document_batches or {}, read_chunks).update(papers)
        if fresh:
            for table in ("words", "chunk_words"):
                connection.execute(f"INSERT INTO {table}({table}) VALUES ('optimize')")  # noqa: S608 - constants
        counts = [_count(connection, t) for t in ("pictures", "documents", "chunks")]
    return IndexUpdate(counts[0], *changes, *counts[1:])


def read_again(target: Path, batches: Iterable[str]) -> None:
    """Have the next update read these batches, whatever their fingerprints are; what is no index is left alone.

    Raises:
        StorageError: the index cannot be written; `target` is as it was.
    """
    if is_index(target):
        with replacing(target) as (connection, _):
            connection.executemany("DELETE FROM batches WHERE batch = ?", [(b,) for b in batches])


def _picture_places(library: pa.Table, batches: Mapping[str, str]) -> dict[str, Place]:
    """Where the words of each picture in use come from."""
    live = live_rows(library)
    columns = [live[c].to_pylist() for c in ("image_id", "name", "batch")]
    places = {
        image: Place(batch if batch in batches else NO_BATCH, name or "")
        for image, name, batch in zip(*columns, strict=True)
    }
    bare = [i for i, image in enumerate(columns[0]) if places[image].batch == NO_BATCH]
    rows = live.select(["image_id", "locations"]).take(pa.array(bare, pa.int64()))
    for row in rows.to_pylist():
        described = [x["batch"] for x in row["locations"] or () if x["batch"] in batches]
        if described:
            places[row["image_id"]] = places[row["image_id"]]._replace(batch=described[0])
    return places


class _Pictures:
    """The tables `pictures`, `words` and `tags`."""

    def __init__(
        self, connection: sqlite3.Connection, batches: Mapping[str, str], read: Read
    ) -> None:
        self._connection, self._read = connection, read
        self._batches = KnownBatches(connection, "descriptions", batches)

    def update(self, wanted: Mapping[str, Place]) -> tuple[int, int, int]:
        """How many pictures came, changed and went."""
        rows = self._connection.execute("SELECT image_id, picture, batch, name FROM pictures")
        known = {image: (number, Place(batch, name)) for image, number, batch, name in rows}
        gone = sorted(number for image, (number, _) in known.items() if image not in wanted)
        for number in gone:
            self._remove(number)
        unsure: dict[str, list[str]] = {}
        for image, place in wanted.items():
            if (
                image not in known
                or known[image][1] != place
                or place.batch in self._batches.changed
            ):
                unsure.setdefault(place.batch, []).append(image)
        changed = 0
        taken = {number for number, _ in known.values()}.difference(gone)
        for portion in _portions(unsure):
            found: list[tuple[int, str, Words]] = []
            for batch in portion:
                words = {} if batch == NO_BATCH else _words(self._read(batch), set(unsure[batch]))
                for image in unsure[batch]:
                    number = known[image][0] if image in known else number_of(image, taken)
                    taken.add(number)
                    described = words.get(image, ("", "", "", ""))
                    found.append((number, image, (indexable(wanted[image].name), *described)))
            # FTS5 writes down what it holds whenever a row has a lower number than the one before.
            for number, image, row in sorted(found):
                old = known[image][1] if image in known else None
                changed += self._put(number, image, old, wanted[image], row)
        self._batches.remember()
        return len(wanted) - len(known) + len(gone), changed, len(gone)

    def _put(self, number: int, image: str, old: Place | None, new: Place, row: Words) -> bool:
        """Write a picture; whether it was there and had other words."""
        if old is None:
            self._connection.execute(
                "INSERT INTO pictures VALUES (?, ?, ?, ?)", (number, image, new.batch, new.name)
            )
            self._add(number, row)
            return False
        if old != new:
            self._connection.execute(
                "UPDATE pictures SET batch = ?, name = ? WHERE picture = ?",
                (new.batch, new.name, number),
            )
        if self._row(number) == row:
            return False
        self._forget(number)
        self._add(number, row)
        return True

    def _row(self, number: int) -> Words:
        row: Words = self._connection.execute(
            "SELECT name, title, description, tags, visible_text FROM words WHERE rowid = ?",
            (number,),
        ).fetchone()
        return row

    def _add(self, number: int, row: Words) -> None:
        self._connection.execute(
            "INSERT INTO words(rowid, name, title, description, tags, visible_text) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (number, *row),
        )
        self._connection.executemany(
            "INSERT INTO tags VALUES (?, ?)", [(tag, number) for tag in tag_keys(row[3])]
        )

    def _forget(self, number: int) -> None:
        self._connection.executemany(
            "DELETE FROM tags WHERE tag = ? AND picture = ?",
            [(tag, number) for tag in tag_keys(self._row(number)[3])],
        )
        self._connection.execute("DELETE FROM words WHERE rowid = ?", (number,))

    def _remove(self, number: int) -> None:
        self._forget(number)
        self._connection.execute("DELETE FROM pictures WHERE picture = ?", (number,))


def _portions(unsure: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Batches in order, as many at a time as have about `_AT_ONCE` pictures."""
    portion: list[str] = []
    pictures = 0
    for batch in sorted(unsure):
        portion.append(batch)
        pictures += len(unsure[batch])
        if pictures >= _AT_ONCE:
            yield portion
            portion, pictures = [], 0
    yield portion


def tag_keys(tags: str) -> list[str]:
    """The tags of a row, a line each, as they are compared: without case and outer blanks, each once."""
    keys = (tag_key(tag) for tag in tags.split("\n"))
    return list(dict.fromkeys(k for k in keys if k))


def tag_key(tag: str) -> str:
    """A tag as it is compared."""
    return " ".join(tag.split()).casefold()


def _words(table: pa.Table, images: set[str]) -> dict[str, tuple[str, str, str, str]]:
    """The words of some pictures, from rows of `descriptions`."""
    columns = [table[c].to_pylist() for c in ("image_id", *WORD_COLUMNS)]
    found: dict[str, tuple[str, str, str, str]] = {}
    for image, title, description, tags, visible in zip(*columns, strict=True):
        if image in images and image not in found:
            lines = "\n".join(" ".join(t.split()) for t in tags or () if t)
            found[image] = (
                indexable(title),
                indexable(description),
                indexable(lines),
                indexable(visible),
            )
    return found


def _count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - constants
    return int(count)
