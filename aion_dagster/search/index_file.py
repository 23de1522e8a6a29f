"""The SQLite file of words: its tables, how it is opened, and how it is replaced at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aion_dagster.errors import StorageError
from aion_dagster.storage.durable import hidden_sibling, make_folder, replace_file

APPLICATION_ID: Final = 0x41494F4E
"""Says "AION" in the file's header, where `file` and this module look for it."""

FORMAT: Final = 3

TOKENS: Final = "tokenize = 'unicode61 remove_diacritics 2'"
"""How texts become words: letters and digits, without case and accents."""

_PREFIXES: Final = "prefix = '2 3'"

_TABLES: Final = (
    "CREATE TABLE pictures("
    "picture INTEGER PRIMARY KEY, image_id TEXT NOT NULL UNIQUE, batch TEXT NOT NULL, name TEXT NOT NULL)",
    f"CREATE VIRTUAL TABLE words USING fts5(name, title, description, tags, visible_text, {TOKENS}, {_PREFIXES})",
    "CREATE TABLE tags(tag TEXT, picture INTEGER, PRIMARY KEY (tag, picture)) WITHOUT ROWID",
    "CREATE TABLE documents(document INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE, "
    "batch TEXT NOT NULL, name TEXT NOT NULL, uri TEXT NOT NULL)",
    "CREATE TABLE chunks(chunk INTEGER PRIMARY KEY, chunk_id TEXT NOT NULL, document INTEGER NOT NULL, "
    "page_numbers TEXT NOT NULL)",
    "CREATE INDEX chunks_of_documents ON chunks(document)",
    f"CREATE VIRTUAL TABLE chunk_words USING fts5(heading, content, {TOKENS}, {_PREFIXES})",
    # What each batch was made from when its rows were taken: Parquet is the truth, this says how far it was read.
    "CREATE TABLE batches(kind TEXT, batch TEXT, fingerprint TEXT NOT NULL, PRIMARY KEY (kind, batch)) WITHOUT ROWID",
)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an index; one that is written later under the same name is seen by the next call.

    Raises:
        StorageError: there is no index, or the file is something else, or from another version.
    """
    if not path.is_file():
        raise StorageError(f"there is no search index at {path}; 'aion-dagster run' builds it")
    # Never written in place, and so safe to read without locks, which network folders are bad at.
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        try:
            application, version = _marks(connection)
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StorageError(
            f"{path} is not a search index ({error}); delete it, 'aion-dagster run' builds it anew"
        ) from error
    if application != APPLICATION_ID or version != FORMAT:
        connection.close()
        raise StorageError(
            f"{path} is not a search index of format {FORMAT} (it says {version}); "
            "'aion-dagster run' builds it anew"
        )
    return connection


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A copy of the index to change, which takes the place of `target` when the block ends, at once.

    Yields the connection, and whether there was nothing that could be copied: the tables are empty then. After an
    exception, or a kill at any moment, `target` is as it was.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    partial = hidden_sibling(target, "tmp")
    try:
        make_folder(target.parent)
        fresh = not is_index(target)
        if not fresh:
            shutil.copyfile(target, partial)
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            # A file nobody else sees yet needs no journal: after a crash it is left over, never half right in place.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            if fresh:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                for statement in _TABLES:
                    connection.execute(statement)
            connection.execute("BEGIN")
            yield connection, fresh
            connection.execute("COMMIT")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        replace_file(partial, target)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"the search index {target} cannot be written ({error}); check space and permissions, then build it again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def is_index(path: Path) -> bool:
    """Whether a file is an index of this format, to which changes can be made."""
    if not path.is_file():
        return False
    try:
        open_for_reading(path).close()
    except StorageError:
        return False
    return True


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version
