"""What the index remembers of the tables, so that only what changed is read again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import pyarrow as pa

Read = Callable[[str], pa.Table]
"""Rows of a batch."""

_BLANKS: Final = dict.fromkeys((0, 2, 3), " ")
"""A zero byte would end the text for SQLite's functions; the others mark matches."""


class Place(NamedTuple):
    """Which batch tells the words of a picture or document, and what it is called."""

    batch: str
    name: str
    uri: str = ""


class KnownBatches:
    """The batches of one kind; `changed` are those that are not as they were when the index last read them."""

    def __init__(
        self, connection: sqlite3.Connection, kind: str, batches: Mapping[str, str]
    ) -> None:
        """Compare the fingerprints of `batches` with those that the index has."""
        self._connection, self._kind, self._batches = connection, kind, batches
        rows = connection.execute("SELECT batch, fingerprint FROM batches WHERE kind = ?", (kind,))
        known: dict[str, str] = dict(rows)
        self.changed = {b for b, fingerprint in batches.items() if known.get(b) != fingerprint}

    def remember(self) -> None:
        """They are read as they stand now."""
        self._connection.execute("DELETE FROM batches WHERE kind = ?", (self._kind,))
        self._connection.executemany(
            "INSERT INTO batches VALUES (?, ?, ?)",
            [(self._kind, b, fingerprint) for b, fingerprint in self._batches.items()],
        )


_NUMBER_BYTES: Final = 5
"""Of a row's number: every byte lengthens the index by a tenth, and of 100,000 rows two want the same one in half a percent
of libraries."""


def number_of(name: str, taken: Collection[int]) -> int:
    """The number of a row, made from the name of what it holds.

    Where a word stands in more rows than are ranked, those with the lowest numbers are. As numbers follow from names, it
    does not matter in which order rows came, and an index that followed changes answers as one built anew. (Two rows that
    want the same number stand side by side in the order in which they came, which shows only where the last of those that
    are ranked is one of them.)

    Args:
        name: an image id or chunk id.
        taken: numbers of other rows; the next one that is free is given.
    """
    number = int.from_bytes(blake2b(name.encode(), digest_size=_NUMBER_BYTES).digest())
    while number in taken:
        number += 1
    return number


def indexable(value: str | None) -> str:
    """A text as the index takes it."""
    return (value or "").translate(_BLANKS)
