"""Words: a full-text index in one SQLite file (FTS5), built anew and swapped in at once."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from aion_dagster.errors import StorageError
from aion_dagster.search.hits import Hit

_APPLICATION_ID: Final = 0x41494F4E
"""Says "AION" in the file's header, where `file` and this module look for it."""

_FORMAT: Final = 1

_WEIGHTS: Final = {
    "image_id": 0.0,
    "name": 2.0,
    "title": 4.0,
    "description": 2.0,
    "tags": 4.0,
    "visible_text": 1.0,
}
"""Column → how much a word in it counts (BM25); long and noisy columns count less."""

_COLUMNS: Final = tuple(_WEIGHTS)

_CREATE: Final = (
    "CREATE VIRTUAL TABLE words USING fts5("
    "image_id UNINDEXED, name, title, description, tags, visible_text, "
    "tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3')"
)
_INSERT: Final = f"INSERT INTO words ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_SELECT: Final = (
    f"SELECT image_id, bm25(words, {', '.join(map(str, _WEIGHTS.values()))}) AS cost, "  # noqa: S608 - constants
    "snippet(words, -1, '[', ']', '…', 16) FROM words WHERE words MATCH ? ORDER BY cost, image_id LIMIT ?"
)

_PHRASE_OR_WORD: Final = re.compile(r'"([^"]*)"|([^\s"]+)')
_MOST_TERMS: Final = 32
"""Terms of a query that count; a pasted page must not become an expression that SQLite refuses."""


def build_index(target: Path, rows: Iterable[pa.RecordBatch]) -> int:
    """Write the index to `target`, beside it first and then renamed: readers see the old one or the new one.

    Args:
        target: the file; an index that is there is replaced.
        rows: batches with columns image_id, name, title, description, tags (list of strings) and visible_text, one row per
            picture; nulls are fine, other columns are ignored. They are read once and one at a time.

    Returns:
        How many rows were written.

    Raises:
        StorageError: the folder cannot be written, or the disk is full; `target` is as it was.
        KeyError: a batch lacks a column.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        count = _write(partial, rows)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"the search index {target} cannot be written ({error}); check space and permissions, then build it again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write(path: Path, rows: Iterable[pa.RecordBatch]) -> int:
    # A file nobody else sees yet needs no journal: after a crash it is left over, never half right in place.
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.execute(_CREATE)
        connection.execute("BEGIN")
        count = 0
        for batch in rows:
            count += connection.executemany(_INSERT, _records(batch)).rowcount if len(batch) else 0
        connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        connection.execute("COMMIT")
    return count


def _records(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS]
    for values in zip(*columns, strict=True):
        yield tuple(_indexable(value) for value in values)


def _indexable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(str(item) for item in value if item is not None)
    return str(value)


class WordIndex:
    """A built index, opened for reading. Several threads may share one; `close` it, or use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> WordIndex:
        """Open the index; one that is built later under the same name is seen by the next `open`.

        Raises:
            StorageError: there is no index, or the file is something else, or from another version.
        """
        if not path.is_file():
            raise StorageError(f"there is no search index at {path}; build it first")
        # Never written in place, and so safe to read without locks, which network folders are bad at.
        address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise StorageError(f"{path} is not a search index ({error}); build it anew") from error
        if application != _APPLICATION_ID or version != _FORMAT:
            connection.close()
            raise StorageError(
                f"{path} is not a search index of format {_FORMAT} (it says {version}); build it anew"
            )
        return cls(path, connection)

    def __enter__(self) -> WordIndex:
        """The index itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def search(self, query: str, limit: int = 20) -> list[Hit]:
        """Pictures whose texts have the words, best first.

        Pictures with all words; where there are none, those with any. Case and accents do not count; a word is also
        found as the beginning of a longer one, and then counts less; "words in quotes" are found in this order only.
        Nothing else in a query has a meaning, so that any text may be searched for. Words are not inflected or
        translated.

        Args:
            query: what somebody typed.
            limit: how many hits at most.

        Returns:
            Hits with a snippet, in which matches stand in [brackets]. None for a query without letters or digits.

        Raises:
            StorageError: the index cannot be read any more.
        """
        terms = _terms(query)
        if not terms or limit <= 0:
            return []
        return self._matching(" AND ".join(terms), limit) or (
            self._matching(" OR ".join(terms), limit) if len(terms) > 1 else []
        )

    def _matching(self, expression: str, limit: int) -> list[Hit]:
        try:
            with self._lock:
                rows = self._connection.execute(_SELECT, (expression, limit)).fetchall()
        except sqlite3.Error as error:
            raise StorageError(
                f"the search index {self.path} cannot be read ({error}); build it anew"
            ) from error
        return [Hit(image_id, -cost, snippet) for image_id, cost, snippet in rows]


def _terms(query: str) -> list[str]:
    """The words and phrases of a query as FTS5 expressions that mean only themselves.

    A word stands as itself or as a prefix; documents that have the word itself match both, and so rank before
    documents that only have a longer one.
    """
    text = query.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")
    terms = []
    for match in _PHRASE_OR_WORD.finditer(text):
        phrase, word = match.group(1), match.group(2)
        if phrase is not None and _has_token(phrase):
            terms.append(f'"{phrase}"')
        elif word is not None and _has_token(word):
            terms.append(f'("{word}" OR "{word}"*)' if len(word) > 1 else f'"{word}"')
    return list(dict.fromkeys(terms))[:_MOST_TERMS]


def _has_token(text: str) -> bool:
    """Whether the tokenizer finds a word in it: unicode61 takes letters, numbers and private-use characters."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)
