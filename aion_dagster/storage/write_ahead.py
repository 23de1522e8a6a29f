"""SQLite's write-ahead log, in which readers and a writer do not wait for each other."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

_PAUSE = 0.02


def write_ahead(cursor: Any, seconds: float) -> None:
    """Have the database of a cursor keep such a log, and wait so long for others that have just made it and are at it.

    SQLite's own waiting does not cover this: the change is refused at once while somebody else is about to write.

    Raises:
        sqlite3.OperationalError: they are at it still.
    """
    if _mode(cursor, "PRAGMA journal_mode") == "wal":
        return
    end = time.monotonic() + seconds
    while True:
        try:
            _mode(cursor, "PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        else:
            return
        time.sleep(_PAUSE)


def _mode(cursor: Any, statement: str) -> str:
    return str(cursor.execute(statement).fetchone()[0])
