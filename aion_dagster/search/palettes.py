"""The dominant colors of all pictures, ordered so that those near a given one are found at once and none is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.compute.colors import delta_e_2000
from aion_dagster.search.color_cells import ColorCells
from aion_dagster.search.color_distance import TOLERANCE, rough_delta_e
from aion_dagster.search.color_query import ColorHit, ColorQuery, is_hex, lab_of_hex

_CHANNELS: Final = ("lab_l", "lab_a", "lab_b")

_FIRST: Final = 2_048
_LARGEST: Final = 16_384
"""Colors compared at a time: at first few, to learn how near the nearest are; never more than the cache holds."""

_SHARE_TOLERANCE: Final = 1e-4
"""Shares are stored in 32 bits, in which 5.1 is 5.0999999."""


class PaletteIndex:
    """Every color of every picture in small cells of L*a*b*, in memory: 28 bytes each and the texts they share."""

    def __init__(self, rows: pa.Table, images: pa.ChunkedArray) -> None:
        """Use `from_table`."""
        lab = _lab_columns(rows)
        self._cells = ColorCells.of(lab)
        order = np.append(self._cells.order, np.flatnonzero(~np.isfinite(lab).all(axis=1)))
        self.images = images
        self._lab = tuple(np.ascontiguousarray(lab[order, i]) for i in range(3))
        self._owners = rows["owner"].to_numpy()[order]
        self._shares = rows["percentage"].to_numpy()[order]
        places = pa.array(order)
        self._hexes = rows["hex"].combine_chunks().take(places)
        self._names = _Words.of(rows["name"].combine_chunks().take(places))
        self._families = _Words.of(rows["family"].combine_chunks().take(places))

    @classmethod
    def from_table(cls, color_analyses: pa.Table) -> Self:
        """Index the colors of a table of schema `COLOR_ANALYSES`; of several rows of a picture the first counts."""
        table = _first_rows(color_analyses.select(["image_id", "dominant_colors"]))
        lists = table["dominant_colors"]
        colors = pc.list_flatten(lists).combine_chunks()
        fields = ("hex", "percentage", "name", "family", *_CHANNELS)
        columns = {field: pc.struct_field(colors, field) for field in fields}
        owners = pc.list_parent_indices(lists).combine_chunks().cast(pa.int32())
        return cls(pa.table({"owner": owners, **columns}), table["image_id"])

    def __len__(self) -> int:
        """How many colors there are."""
        return len(self._owners)

    def search(
        self, query: ColorQuery, limit: int = 50, *, among: NDArray[np.bool_] | None = None
    ) -> list[ColorHit]:
        """Pictures that have the color, one hit per picture, nearest first, then the larger share, then by id.

        Args:
            query: the color.
            limit: how many hits at most.
            among: (m,) which of `images` may be found; all by default.
        """
        if limit <= 0 or not len(self):
            return []
        if query.hex is None:
            rows = self._matching(query, None, among)
            return self._hits(rows, np.zeros(len(rows)), None, limit)
        rows, differences = self._near(query, limit, among)
        return self._hits(rows, differences, query.delta_e_threshold, limit)

    def having(self, query: ColorQuery) -> NDArray[np.bool_]:
        """Which of `images` (m,) have the color."""
        if query.hex is None:
            rows = self._matching(query, None, None)
        else:
            rows, _ = self._near(query, len(self.images), None)
        mask = np.zeros(len(self.images), bool)
        mask[self._owners[rows]] = True
        return mask

    def _matching(
        self, query: ColorQuery, rows: NDArray[np.int64] | None, among: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Those of some rows, or of all, that satisfy everything but the hex."""
        place = slice(None) if rows is None else rows
        keep = self._shares[place] >= query.min_percentage - _SHARE_TOLERANCE
        if query.name is not None:
            keep &= self._names.equal(query.name, place)
        if query.family is not None:
            keep &= self._families.equal(query.family, place)
        if among is not None:
            keep &= among[self._owners[place]]
        return np.flatnonzero(keep) if rows is None else rows[keep]

    def _near(
        self, query: ColorQuery, limit: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows and their differences below the threshold: those of the best `limit` pictures are among them.

        Cells in the order in which they can hold something near; what was found bounds how many have to be looked at.
        """
        wanted = lab_of_hex(query.hex or "")
        radius = query.delta_e_threshold
        found = _Nearest(self._owners, limit)
        least = self._cells.least_delta_e(tuple(wanted.tolist()))
        order = np.argsort(least)
        ends = np.cumsum(np.diff(self._cells.starts)[order])
        done, size = 0, _FIRST
        while done < len(order) and least[order[done]] <= radius + TOLERANCE:
            before = ends[done - 1] if done else 0
            upto = max(done + 1, int(np.searchsorted(ends, before + size)))
            cells = order[done:upto]
            cells = np.sort(cells[least[cells] <= radius + TOLERANCE])
            rows = self._matching(query, self._cells.rows(cells), among)
            done, size = upto, min(2 * size, _LARGEST)
            rough = self._rough(rows, wanted)
            near = rough <= radius + TOLERANCE
            if near.any():
                radius = min(radius, found.add(rows[near], rough[near]) + 2 * TOLERANCE)
        rows = found.rows(radius + TOLERANCE)
        exact = delta_e_2000(self._lab_of(rows), wanted).astype(np.float64)
        inside = exact < query.delta_e_threshold
        return rows[inside], exact[inside]

    def _rough(self, rows: NDArray[np.int64], wanted: NDArray[np.float64]) -> NDArray[np.float32]:
        """Differences of some rows within `TOLERANCE`."""
        lightness, a, b = (channel[rows] for channel in self._lab)
        rough = rough_delta_e((lightness, a, b), tuple(wanted.tolist()))
        unsure = np.flatnonzero(rough == 0)
        rough[unsure] = delta_e_2000(self._lab_of(rows[unsure]), wanted)
        return rough

    def _lab_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.stack([channel[rows] for channel in self._lab], axis=1)

    def _hits(
        self,
        rows: NDArray[np.int64],
        differences: NDArray[np.float64],
        threshold: float | None,
        limit: int,
    ) -> list[ColorHit]:
        scores = np.ones(len(rows)) if threshold is None else 1 - differences / threshold
        kept = _best_per_picture(scores, self._shares[rows], self._owners[rows], limit)
        rows, differences, scores = rows[kept], differences[kept], scores[kept]
        shares = self._shares[rows].tolist()
        places = pa.array(rows)
        ids = self.images.take(pa.array(self._owners[rows])).to_pylist()
        codes = self._hexes.take(places).to_pylist()
        names = self._names.texts(places)
        hits = [
            ColorHit(
                ids[i],
                float(scores[i]),
                codes[i],
                shares[i],
                names[i],
                None if threshold is None else float(differences[i]),
            )
            for i in range(len(rows))
        ]
        hits.sort(key=lambda hit: (-hit.match_score, -hit.matched_percentage, hit.image_id))
        return hits[:limit]


class _Nearest:
    """What was found so far, and the difference beyond which nothing can come among the best pictures any more."""

    def __init__(self, owners: NDArray[np.int32], limit: int) -> None:
        self._owners = owners
        self._limit = limit
        self._rows: list[NDArray[np.int64]] = []
        self._differences: list[NDArray[np.float32]] = []
        self._best = np.full(0, np.inf, np.float32)

    def add(self, rows: NDArray[np.int64], differences: NDArray[np.float32]) -> float:
        """Remember rows; the difference of the last picture that fits, infinite while there is room."""
        self._rows.append(rows)
        self._differences.append(differences)
        if not len(self._best):
            self._best = np.full(int(self._owners.max()) + 1, np.inf, np.float32)
            self._seen = np.zeros(0, np.int32)
        owners = self._owners[rows]
        np.minimum.at(self._best, owners, differences)
        seen = np.unique(np.concatenate([self._seen, owners]))
        values = self._best[seen]
        if len(seen) < self._limit:
            self._seen = seen
            return float("inf")
        last = np.partition(values, self._limit - 1)[self._limit - 1]
        self._seen = seen[values <= last]
        return float(last)

    def rows(self, radius: float) -> NDArray[np.int64]:
        """The rows within a difference, in order."""
        if not self._rows:
            return np.zeros(0, np.int64)
        rows, differences = np.concatenate(self._rows), np.concatenate(self._differences)
        return np.sort(rows[differences <= radius])


def _best_per_picture(
    scores: NDArray[np.float64],
    shares: NDArray[np.float32],
    owners: NDArray[np.int32],
    limit: int,
) -> NDArray[np.int64]:
    """Of each picture its best row; of the best `limit` pictures, and all that are as good as the last of them."""
    kept = _largest_shares(scores, shares, owners, limit)
    order = kept[np.lexsort((-shares[kept], -scores[kept]))]
    _, first = np.unique(owners[order], return_index=True)
    rows = order[np.sort(first)]
    if len(rows) <= limit:
        return rows
    last = rows[limit - 1]
    behind = (scores[rows] < scores[last]) | (
        (scores[rows] == scores[last]) & (shares[rows] < shares[last])
    )
    best: NDArray[np.int64] = rows[~behind]
    return best


def _largest_shares(
    scores: NDArray[np.float64],
    shares: NDArray[np.float32],
    owners: NDArray[np.int32],
    limit: int,
) -> NDArray[np.int64]:
    """Where all scores are equal, rows enough for the best `limit` pictures, found without sorting all."""
    count = 4 * limit
    while count < len(scores) // 4 and scores[0] == scores.min() == scores.max():
        least = np.partition(shares, len(shares) - count)[len(shares) - count]
        rows = np.flatnonzero(shares >= least)
        if len(np.unique(owners[rows])) >= limit:
            return rows
        count *= 4
    return np.arange(len(scores))


@dataclass(frozen=True)
class _Words:
    """A column of few distinct texts; rows without one have code -1."""

    codes: NDArray[np.int32]
    dictionary: pa.Array

    @classmethod
    def of(cls, column: pa.Array) -> Self:
        encoded = pc.dictionary_encode(column)
        return cls(pc.fill_null(encoded.indices, -1).to_numpy(), encoded.dictionary)

    def equal(self, wanted: str, rows: slice | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some rows say it, without regard to case."""
        folded = pc.utf8_lower(pc.utf8_trim_whitespace(self.dictionary))
        same = pc.equal(folded, wanted.strip().lower()).to_numpy(zero_copy_only=False)
        found: NDArray[np.bool_] = np.append(same.astype(bool), False)[self.codes[rows]]
        return found

    def texts(self, rows: pa.Array) -> list[str | None]:
        """The texts of some rows."""
        codes = pa.array(self.codes).take(rows)
        return list(self.dictionary.take(pc.if_else(pc.less(codes, 0), None, codes)).to_pylist())


def _first_rows(table: pa.Table) -> pa.Table:
    """Of each picture the first row; the table itself where no picture has several."""
    if pc.count_distinct(table["image_id"]).as_py() == table.num_rows:
        return table
    rows = pa.array(range(table.num_rows), pa.int64())
    grouped = pa.table({"id": table["image_id"], "row": rows}).group_by("id")
    return table.take(grouped.aggregate([("row", "min")])["row_min"].sort())


def _lab_columns(rows: pa.Table) -> NDArray[np.float32]:
    """L*a*b* of each row, (n, 3); from the hex where the row has none, as rows from elsewhere may."""
    columns = [rows[channel].to_numpy().astype(np.float32) for channel in _CHANNELS]
    lab = np.stack(columns, axis=1)
    missing = np.flatnonzero(~np.isfinite(lab).all(axis=1))
    if len(missing):
        codes = rows["hex"].take(pa.array(missing)).to_pylist()
        known = {c: lab_of_hex(c) for c in set(codes) if c is not None and is_hex(c)}
        nowhere = np.full(3, np.inf)
        lab[missing] = [known.get(c, nowhere) for c in codes]
    return lab
