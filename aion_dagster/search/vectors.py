"""Nearest neighbours among vectors in memory: read from Parquet as they lie there, nothing stored beside it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from aion_dagster.search.hits import Hit, best
from aion_dagster.search.vector_codes import VectorCodes
from aion_dagster.search.vector_pages import plain_vectors
from aion_dagster.storage.parquet import parquet_file
from aion_dagster.storage.places import Place

FLAT_ROWS: Final = 20_000
"""Up to so many rows every vector is compared: 2 ms, and nothing has to be built. Above, codes of 4 bits come first."""

_FEWEST_CANDIDATES: Final = 200
_CANDIDATES_PER_HIT: Final = 4
_MOST_CANDIDATES_SHARE: Final = 8
"""Where more than an eighth of all rows would have to be looked at, comparing all of them costs no more."""

_STANDARD_ERRORS: Final = 6.0
"""What lies so many standard errors of the codes below the last hit cannot belong among the hits."""

Floats = NDArray[np.float32]


class VectorIndex:
    """Vectors of one length and the ids they belong to; the dot product ranks, for unit vectors the cosine.

    The first question is answered by comparing all vectors; codes that make the following ones faster are built when
    the second one comes, or by `prepare`, where there are more than `FLAT_ROWS` rows and faiss is installed. Rows that
    are not finite are never found. Several threads may share one.
    """

    def __init__(self, ids: pa.ChunkedArray, blocks: Sequence[Floats]) -> None:
        """Use `from_table` or `from_parquet`.

        Args:
            ids: n ids, none null.
            blocks: arrays (m, d) float32 whose rows are n together; they are kept, not copied.

        Raises:
            ValueError: ids and rows differ in number, or blocks in length of vector.
        """
        self._blocks = [b for b in blocks if len(b)]
        self._ends = [0, *accumulate(map(len, self._blocks))]
        if len(ids) != self._ends[-1] or len({b.shape[1:] for b in self._blocks}) > 1:
            shapes = sorted({b.shape[1:] for b in self._blocks})
            raise ValueError(
                f"{len(ids)} ids and {self._ends[-1]} vectors of shapes {shapes} do not fit: one id per vector, all "
                "vectors of one length"
            )
        self._ids = ids
        self._codes: VectorCodes | None = None
        self._asked = False
        self._lock = threading.Lock()

    @classmethod
    def from_table(cls, table: pa.Table, *, key: str = "image_id", vector: str = "vector") -> Self:
        """Index the rows of a table that have a vector; several rows of one id count as the first of them.

        Args:
            table: column `key` (string) and `vector` (list or fixed-size list of float32).
            key: the column of ids.
            vector: the column of vectors.

        Raises:
            ValueError: the vectors differ in length.
        """
        table = _one_per_id(table.select([key, vector]), key, vector)
        blocks = [_matrix(chunk) for chunk in table[vector].chunks]
        return cls(table[key], blocks)

    @classmethod
    def from_parquet(
        cls,
        paths: Sequence[Place],
        *,
        key: str = "image_id",
        vector: str = "vector",
        model: str | None = None,
    ) -> Self:
        """As `from_table`, of Parquet files.

        Args:
            paths: files in which later rows of an id give way to earlier ones.
            key: the column of ids.
            vector: the column of vectors.
            model: rows whose column `model` says another one are left out: their vectors cannot be compared.

        Raises:
            ValueError: the vectors differ in length.
        """
        parts = list(_row_groups(paths, key, vector, model))
        if not parts:
            return cls(pa.chunked_array([], pa.string()), [])
        return cls.from_table(pa.concat_tables(parts), key=key, vector=vector)

    def __len__(self) -> int:
        """How many vectors there are."""
        return self._ends[-1]

    @property
    def ids(self) -> pa.ChunkedArray:
        """The id of each row, for a mask of rows."""
        return self._ids

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; None where there is none."""
        return self._blocks[0].shape[1] if self._blocks else None

    def prepare(self) -> None:
        """Build now what makes questions fast; does nothing where comparing all vectors is fast enough."""
        with self._lock:
            if self._codes is None and len(self) > FLAT_ROWS and find_spec("faiss") is not None:
                self._codes = VectorCodes.of(self._blocks)

    def nearest(
        self,
        query: Floats,
        limit: int = 20,
        *,
        among: NDArray[np.bool_] | None = None,
        floor: float = -np.inf,
    ) -> list[Hit]:
        """The rows with the largest dot product with the query, best first, equal ones in the order of their ids.

        Args:
            query: (d,) float32 from the same model; for cosines of unit length.
            limit: how many hits at most.
            among: (n,) the rows that may be found; all by default.
            floor: what is below is not found.

        Raises:
            ValueError: the query has another length than the vectors, or `among` than there are rows.
        """
        if not len(self) or limit <= 0:
            return []
        if query.shape != self._blocks[0].shape[1:] or (
            among is not None and among.shape != (len(self),)
        ):
            raise ValueError(
                f"a query {query.shape} and a mask {None if among is None else among.shape} do not fit {len(self)} "
                f"vectors of {self.dimensions} numbers"
            )
        query = np.ascontiguousarray(query, np.float32)
        rows = None if among is None else np.flatnonzero(among)
        if rows is not None and len(rows) <= FLAT_ROWS:
            return self._best(rows, self._scores(rows, query), limit, floor)
        if self._asked:
            self.prepare()
        self._asked = True
        codes = self._codes
        found = None if codes is None else self._by_codes(codes, query, limit, among, floor)
        if found is not None:
            return found
        scores = np.concatenate([block @ query for block in self._blocks])
        if rows is not None:
            return self._best(rows, scores[rows], limit, floor)
        return self._best(np.arange(len(self)), scores, limit, floor)

    def _by_codes(
        self,
        codes: VectorCodes,
        query: Floats,
        limit: int,
        among: NDArray[np.bool_] | None,
        floor: float,
    ) -> list[Hit] | None:
        """Hits among the best by codes, as many as it takes to miss none; None where that would be too many."""
        margin = _STANDARD_ERRORS * codes.standard_error(query)
        if not np.isfinite(margin):
            return []
        share = 1.0 if among is None else max(float(among.mean()), 1e-9)
        count = int(max(_FEWEST_CANDIDATES, _CANDIDATES_PER_HIT * limit) / share)
        while count * _MOST_CANDIDATES_SHARE <= len(self):
            rows, rough = codes.best(query, count)
            lowest = float(rough[-1]) if len(rough) else -np.inf
            if among is not None:
                rows = rows[among[rows]]
            scores = self._scores(rows, query)
            usable = np.sort(scores[np.isfinite(scores)])[::-1]
            last = float(usable[limit - 1]) if len(usable) >= limit else -np.inf
            if lowest + margin < max(last, floor):
                return self._best(rows, scores, limit, floor)
            count *= 4
        return None

    def _scores(self, rows: NDArray[np.int64], query: Floats) -> Floats:
        """Exact dot products of some rows."""
        if len(self._blocks) == 1:
            return np.asarray(self._blocks[0][rows] @ query)
        result = np.empty(len(rows), np.float32)
        owners = np.searchsorted(self._ends, rows, side="right") - 1
        for owner in np.unique(owners).tolist():
            mine = owners == owner
            result[mine] = self._blocks[owner][rows[mine] - self._ends[owner]] @ query
        return result

    def _best(self, rows: NDArray[np.int64], scores: Floats, limit: int, floor: float) -> list[Hit]:
        if floor > -np.inf:
            scores = np.where(scores >= floor, scores, np.float32(-np.inf))
        usable = np.flatnonzero(np.isfinite(scores))
        if len(usable) > limit:
            # Everything as good as the last one that fits stays in, so that ties are broken by id.
            least = np.partition(scores[usable], len(usable) - limit)[len(usable) - limit]
            usable = usable[scores[usable] >= least]
        return best(self._ids.take(pa.array(rows[usable])), scores[usable], limit)


def _row_groups(
    paths: Sequence[Place], key: str, vector: str, model: str | None
) -> Iterator[pa.Table]:
    """Each row group as a table of its own: their memory is kept as it is, and never put together."""
    columns = [key, *(["model"] if model is not None else [])]
    for path in paths:
        with parquet_file(path, memory_map=True) as file:
            kind = file.schema_arrow.field(vector).type
            for group in range(file.num_row_groups):
                part = file.read_row_group(group, columns=columns, use_threads=False)
                part = part.append_column(vector, _vectors(file, path, group, vector, kind))
                if model is not None:
                    same = pc.equal(part["model"], model)
                    if not pc.all(same).as_py():
                        part = part.filter(same)
                yield part.select([key, vector])


def _vectors(
    file: pq.ParquetFile, path: Place, group: int, column: str, kind: pa.DataType
) -> pa.Array | pa.ChunkedArray:
    is_plain = pa.types.is_fixed_size_list(kind) and sys.byteorder == "little"
    if is_plain and isinstance(path, Path):
        plain = plain_vectors(path, file.metadata, group, column, kind.list_size)
        if plain is not None:
            return pa.FixedSizeListArray.from_arrays(pa.array(plain.reshape(-1)), type=kind)
    return file.read_row_group(group, columns=[column], use_threads=False)[column]


def _one_per_id(table: pa.Table, key: str, vector: str) -> pa.Table:
    """Rows with id and vector, of each id the first; the table itself, uncopied, where these are all."""
    if table[key].null_count or table[vector].null_count:
        table = table.filter(pc.and_(pc.is_valid(table[key]), pc.is_valid(table[vector])))
    if pc.count_distinct(table[key]).as_py() == table.num_rows:
        return table
    rows = pa.array(range(table.num_rows), pa.int64())
    first = pa.table({"id": table[key], "row": rows}).group_by("id").aggregate([("row", "min")])
    keep = np.zeros(table.num_rows, bool)
    keep[first["row_min"].to_numpy()] = True
    return table.filter(pa.array(keep))


def _matrix(vectors: pa.Array) -> Floats:
    """(n, d) float32, a view of Arrow's memory where nothing is null."""
    if pa.types.is_fixed_size_list(vectors.type):
        length = vectors.type.list_size
    else:
        lengths = pc.unique(pc.list_value_length(vectors)).to_pylist()
        if len(lengths) > 1:
            raise ValueError(f"vectors of lengths {sorted(lengths)} cannot be compared")
        length = lengths[0] if lengths else 0
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(vectors), length)
