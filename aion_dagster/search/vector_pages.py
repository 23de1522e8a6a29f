"""Vectors from the pages of a Parquet file, for the plainest way to write them: the numbers as they lie there.

Arrow rebuilds each list from the levels of its numbers, which takes most of the time for lists of hundreds. Where no list
and no number is missing, as the size of a page tells, and all lists have one length, the numbers alone are the vectors.
Anything else is left to Arrow.

The format: Apache Parquet, https://parquet.apache.org/docs/file-format/ (data pages of version 1, whose header is a struct
of Thrift's compact protocol); what is read of it has been fixed since 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_CODECS: Final = {"UNCOMPRESSED": None, "ZSTD": "zstd", "SNAPPY": "snappy"}
_PLAIN_CODINGS: Final = {"PLAIN", "RLE"}
_DATA_PAGE: Final = 0
_PLAIN: Final = 0
_SIZE: Final = 4
"""Bytes of a number, and of the length in front of levels."""


def plain_vectors(
    path: Path, metadata: pq.FileMetaData, group: int, column: str, length: int
) -> Floats | None:
    """The vectors (rows, length) of one row group; None where Arrow has to read them.

    Args:
        path: the file.
        metadata: its footer.
        group: the number of the row group.
        column: the name of the column, a list of float32.
        length: numbers per list.
    """
    rows = metadata.row_group(group)
    leaves = (rows.column(i) for i in range(rows.num_columns))
    chunk = next((c for c in leaves if c.path_in_schema.startswith(f"{column}.")), None)
    if chunk is None or not _is_plain(chunk) or chunk.num_values != rows.num_rows * length:
        return None
    with pa.memory_map(str(path)) as file:
        file.seek(chunk.data_page_offset)
        data = file.read_buffer(chunk.total_compressed_size)
        try:
            numbers = _numbers(data, _CODECS[chunk.compression], chunk.num_values)
        except (LookupError, ValueError, OSError):
            return None  # damaged, it seems: Arrow says so better
    return None if numbers is None else numbers.reshape(rows.num_rows, length)


def _numbers(data: pa.Buffer, codec: str | None, count: int) -> Floats | None:
    """All numbers of a column chunk; None where some are missing."""
    result = np.empty(count, np.float32)
    done = 0
    for page in _pages(data, codec):
        if page is None or done + len(page) > count:
            return None
        result[done : done + len(page)] = page
        done += len(page)
    return result if done == count else None


def _is_plain(chunk: pq.ColumnChunkMetaData) -> bool:
    return (
        chunk.physical_type == "FLOAT"
        and chunk.compression in _CODECS
        and not chunk.has_dictionary_page
        and set(chunk.encodings) <= _PLAIN_CODINGS
    )


def _pages(data: pa.Buffer, codec: str | None) -> Iterator[Floats | None]:
    """The numbers of each page; None for a page that is not plain, or lacks some."""
    view, place = memoryview(data).cast("B"), 0
    while place < len(view):
        header, place = _struct(view, place)
        if header[1] != _DATA_PAGE or header[5][2] != _PLAIN:
            yield None
            return
        size, stored, facts = header[2], header[3], header[5]
        body = data.slice(place, stored)
        place += stored
        content = memoryview(body if codec is None else pa.decompress(body, size, codec)).cast("B")
        levels = 0
        for _ in ("repetition", "definition"):
            levels += _SIZE + int.from_bytes(content[levels : levels + _SIZE], "little")
        # A missing list or number takes a level and no bytes.
        if len(content) - levels != facts[1] * _SIZE:
            yield None
            return
        yield np.frombuffer(content, "<f4", facts[1], levels)


def _struct(view: memoryview, place: int) -> tuple[dict[int, Any], int]:
    """Fields by number of a struct in Thrift's compact protocol, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = view[place]
        place += 1
        if head == 0:
            return fields, place
        if head >> 4:
            number += head >> 4
        else:
            number, place = _integer(view, place)
        fields[number], place = _value(view, place, head & 15)


def _value(view: memoryview, place: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, place
    if kind in (4, 5, 6):
        return _integer(view, place)
    if kind == 8:
        length, place = _varint(view, place)
        return None, place + length
    if kind == 12:
        return _struct(view, place)
    raise ValueError(
        f"a page header has a field of kind {kind}, which no version of the format has"
    )


def _integer(view: memoryview, place: int) -> tuple[int, int]:
    value, place = _varint(view, place)
    return value >> 1 ^ -(value & 1), place


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
