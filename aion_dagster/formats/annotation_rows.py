"""Where an export reads annotations from: a table in memory, or a file of which a part at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Places = NDArray[np.int32]

_ROWS_AT_ONCE = 1 << 16


class AnnotationRows(Protocol):
    """Annotations of schema `ANNOTATIONS`, in the order of the dataset's pictures; may be read several times.

    Columns of text may be coded by dictionaries, which saves memory.
    """

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows, some at a time, with these columns; one empty table where there are none."""
        ...


@dataclass(frozen=True)
class TableRows:
    """Annotations in memory."""

    table: pa.Table

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows, some at a time, with these columns; nothing is copied."""
        chosen = self.table.select(list(columns))
        for start in range(0, max(chosen.num_rows, 1), _ROWS_AT_ONCE):
            yield chosen.slice(start, _ROWS_AT_ONCE)


class Lookup:
    """The place of values among distinct others; looking many up costs little more than the distinct ones of them."""

    def __init__(self, among: Sequence[str]) -> None:
        """Look up among these."""
        self._place = {value: i for i, value in enumerate(among)}

    def __len__(self) -> int:
        """How many values there are to be found."""
        return len(self._place)

    def places(self, values: pa.ChunkedArray) -> Places:
        """The place of each value, -1 where it is none of them."""
        found = np.empty(len(values), dtype=np.int32)
        start = 0
        for chunk in values.chunks:
            coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            used = np.unique(codes)
            used = used[used >= 0]
            table = np.full(len(coded.dictionary) + 1, -1, dtype=np.int32)
            own = coded.dictionary.take(pa.array(used)).to_pylist()
            table[used] = [self._place.get(value, -1) for value in own]
            found[start : start + len(chunk)] = table[codes]
            start += len(chunk)
        return found


def sorted_rows(annotations: pa.Table, known: Lookup) -> TableRows:
    """A table of annotations in the order of the pictures that are known, whatever order it has."""
    image = known.places(annotations.column("image_id"))
    if (image[1:] < image[:-1]).any():
        annotations = annotations.take(pa.array(np.argsort(image, kind="stable")))
    return TableRows(annotations)
