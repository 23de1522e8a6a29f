"""Which pictures or documents a search is about: applied before anything is ranked, so that a limit is filled where it can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.search.color_query import ColorQuery

COLUMNS: Final = ("name", "source", "captured_at", "width", "height", "format", "media_type")
"""Columns of `library` that filters look at."""

DOCUMENT_COLUMNS: Final = (
    "name",
    "source",
    "modified_at",
    "size_bytes",
    "page_count",
    "document_type",
    "media_type",
)
"""Columns of `documents` that filters look at."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a picture must satisfy, all of it; what is not given does not count.

    A picture that lacks a value, such as a date, does not satisfy a condition on it.

    Attributes:
        tags: it has all of these, without regard to case.
        since: captured at this time or later, a date from its beginning. As cameras write it: local time without a zone.
        until: captured before this time, or on this date or before.
        min_width: pixels of the upright picture; likewise the next three.
        sources: names of sources, one of which it comes from.
        formats: formats such as `jpeg` or media types such as `image/png`, one of which it has.
        names: patterns such as `*.raw.jpg` or `2024/*`, one of which its name fits, as `name_fits` says.
        color: it has a color such as this.
    """

    tags: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    sources: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    color: ColorQuery | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()


@dataclass(frozen=True, slots=True)
class DocumentFilters:
    """What a document must satisfy, all of it; what is not given does not count.

    A document that lacks a value, such as pages, does not satisfy a condition on it.

    Attributes:
        since: its file was changed at this time or later, a date from its beginning. In UTC, or of the zone it has.
        until: its file was changed before this time, or on this date or before.
        min_bytes: size of its file; likewise the next.
        min_pages: pages it has, in formats that have any; likewise the next.
        sources: names of sources, one of which it comes from.
        formats: `pdf`, `docx`, `txt`, `md`, or media types, one of which it is by its content.
        names: patterns such as `*.pdf` or `contracts/*`, one of which its name fits, as `name_fits` says.
    """

    since: date | None = None
    until: date | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    min_pages: int | None = None
    max_pages: int | None = None
    sources: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != DocumentFilters()


def satisfying(pictures: pa.Table, filters: Filters) -> NDArray[np.bool_]:
    """Which rows (n,) of a table with `COLUMNS` satisfy the filters, but for tags and color, which stand elsewhere."""
    return _all_of(
        pictures.num_rows,
        [
            *_when(pictures["captured_at"], filters.since, filters.until),
            *_between(pictures["width"], filters.min_width, filters.max_width),
            *_between(pictures["height"], filters.min_height, filters.max_height),
            *_of_kind(pictures, filters.sources, ("format", "media_type"), filters.formats),
            *_named(pictures["name"], filters.names),
        ],
    )


def satisfying_documents(documents: pa.Table, filters: DocumentFilters) -> NDArray[np.bool_]:
    """Which rows (n,) of a table with `DOCUMENT_COLUMNS` satisfy the filters."""
    changed = pc.cast(documents["modified_at"], pa.timestamp("us"))
    return _all_of(
        documents.num_rows,
        [
            *_when(changed, _in_utc(filters.since), _in_utc(filters.until)),
            *_between(documents["size_bytes"], filters.min_bytes, filters.max_bytes),
            *_between(documents["page_count"], filters.min_pages, filters.max_pages),
            *_of_kind(documents, filters.sources, ("document_type", "media_type"), filters.formats),
            *_named(documents["name"], filters.names),
        ],
    )


def name_fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, or its last part, fits one of some patterns: `*` any characters, `?` one, case does not count."""
    names = {name.lower(), name.lower().rpartition("/")[2]}
    return any(fnmatchcase(n, pattern.lower()) for pattern in patterns for n in names)


def _all_of(rows: int, conditions: Iterable[pa.ChunkedArray]) -> NDArray[np.bool_]:
    mask = np.ones(rows, bool)
    for condition in conditions:
        mask &= pc.fill_null(condition, False).to_numpy()
    return mask


def _when(
    moments: pa.ChunkedArray, since: date | None, until: date | None
) -> Iterator[pa.ChunkedArray]:
    if since is not None:
        yield pc.greater_equal(moments, _moment(since))
    if isinstance(until, datetime):
        yield pc.less(moments, _moment(until))
    elif until is not None:
        days = pc.cast(moments, pa.date32(), safe=False)
        yield pc.less_equal(days, pa.scalar(until, pa.date32()))


def _between(
    column: pa.ChunkedArray, least: int | None, most: int | None
) -> Iterator[pa.ChunkedArray]:
    if least is not None:
        yield pc.greater_equal(column, least)
    if most is not None:
        yield pc.less_equal(column, most)


def _of_kind(
    table: pa.Table, sources: Sequence[str], columns: Sequence[str], formats: Sequence[str]
) -> Iterator[pa.ChunkedArray]:
    if sources:
        yield pc.is_in(table["source"], pa.array(sources, pa.string()))
    if formats:
        wanted = pa.array([f.lower() for f in formats], pa.string())
        known = [pc.fill_null(pc.is_in(pc.utf8_lower(table[c]), wanted), False) for c in columns]
        yield pc.or_(*known)


def _named(names: pa.ChunkedArray, patterns: Sequence[str]) -> Iterator[pa.ChunkedArray]:
    if patterns:
        yield pa.chunked_array(
            [pa.array([name_fits(name or "", patterns) for name in names.to_pylist()], pa.bool_())]
        )


def _moment(value: date) -> pa.Scalar:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return pa.scalar(moment.replace(tzinfo=None), pa.timestamp("us"))


def _in_utc(value: date | None) -> date | None:
    """A time with a zone as that of UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value
