"""Which known files a pass over a source has seen: a bit for each, so that a million files take 125 KB."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from aion_dagster.storage.ledger_database import chunks
from aion_dagster.storage.ledger_results import insert_for
from aion_dagster.storage.ledger_tables import PASSES, SEEN

_CHUNK_BITS: Final = 1 << 16
_CHUNK_BYTES: Final = _CHUNK_BITS // 8


class SeenFiles:
    """A set of the ledger's file ids that takes a bit for each id in use."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._bits: dict[int, NDArray[np.uint8]] = {}

    def add(self, ids: Iterable[int]) -> None:
        """Add ids."""
        numbers = np.fromiter(ids, dtype=np.int64)
        for chunk in np.unique(numbers // _CHUNK_BITS).tolist():
            inside = numbers[numbers // _CHUNK_BITS == chunk] % _CHUNK_BITS
            flags = np.zeros(_CHUNK_BITS, np.uint8)
            flags[inside] = 1
            self._merge(chunk, np.packbits(flags))

    def missing(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `ids` that are not in the set."""
        if not self._bits:
            return ids
        packed = np.zeros((max(self._bits) + 1) * _CHUNK_BYTES, np.uint8)
        for chunk, bits in self._bits.items():
            packed[chunk * _CHUNK_BYTES : (chunk + 1) * _CHUNK_BYTES] = bits
        is_low = ids < len(packed) * 8
        low = ids[is_low]
        is_there = np.zeros(len(ids), bool)
        is_there[is_low] = (packed[low >> 3] >> (7 - (low & 7))) & 1
        return ids[~is_there]

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._bits)

    def load(self, connection: sa.Connection, pass_id: str) -> None:
        """Add what was stored for a pass."""
        query = sa.select(SEEN.c.chunk, SEEN.c.bits).where(SEEN.c.pass_id == pass_id)
        for chunk, bits in connection.execute(query):
            self._merge(chunk, np.frombuffer(bits, np.uint8))

    def store(self, connection: sa.Connection, pass_id: str) -> None:
        """Add the set to what is stored for a pass."""
        for numbers in chunks(self._bits):
            this = (SEEN.c.pass_id == pass_id) & SEEN.c.chunk.in_(numbers)
            before = dict(
                connection.execute(sa.select(SEEN.c.chunk, SEEN.c.bits).where(this)).all()
            )
            statement: Any = insert_for(connection)(SEEN)
            statement = statement.on_conflict_do_update(
                index_elements=["pass_id", "chunk"], set_={"bits": statement.excluded.bits}
            )
            rows = []
            for number in numbers:
                old = np.frombuffer(before.get(number, bytes(_CHUNK_BYTES)), np.uint8)
                bits = (self._bits[number] | old).tobytes()
                rows.append({"pass_id": pass_id, "chunk": number, "bits": bits})
            connection.execute(statement, rows)

    def _merge(self, chunk: int, bits: NDArray[np.uint8]) -> None:
        before = self._bits.get(chunk)
        self._bits[chunk] = bits if before is None else before | bits


def note_in_open_passes(
    connection: sa.Connection, sources: Collection[str], ids: Collection[int]
) -> None:
    """Files that came back while passes are under way: none of these passes shall take them for deleted."""
    if not ids:
        return
    seen = SeenFiles()
    seen.add(ids)
    query = sa.select(PASSES.c.id).where(PASSES.c.source.in_(sorted(sources)))
    for pass_id in connection.scalars(query).all():
        seen.store(connection, pass_id)
