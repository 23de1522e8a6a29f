"""Which pictures a search is about: applied before anything is ranked, so that a limit is filled where it can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aion_dagster.search.color_query import ColorQuery

COLUMNS = ("source", "captured_at", "width", "height", "format", "media_type")
"""Columns of `library` that filters look at."""


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
    color: ColorQuery | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()


def satisfying(pictures: pa.Table, filters: Filters) -> NDArray[np.bool_]:
    """Which rows (n,) of a table with `COLUMNS` satisfy the filters, but for tags and color, which stand elsewhere."""
    conditions = []
    taken, width, height = (pictures[c] for c in ("captured_at", "width", "height"))
    if filters.since is not None:
        conditions.append(pc.greater_equal(taken, _moment(filters.since)))
    if filters.until is not None:
        conditions.append(_before(taken, filters.until))
    for column, least, most in (
        (width, filters.min_width, filters.max_width),
        (height, filters.min_height, filters.max_height),
    ):
        if least is not None:
            conditions.append(pc.greater_equal(column, least))
        if most is not None:
            conditions.append(pc.less_equal(column, most))
    if filters.sources:
        conditions.append(pc.is_in(pictures["source"], pa.array(filters.sources, pa.string())))
    if filters.formats:
        wanted = pa.array([f.lower() for f in filters.formats], pa.string())
        known = [pc.is_in(pc.utf8_lower(pictures[c]), wanted) for c in ("format", "media_type")]
        conditions.append(pc.or_(*known))
    mask = np.ones(pictures.num_rows, bool)
    for condition in conditions:
        mask &= pc.fill_null(condition, False).to_numpy()
    return mask


def _moment(value: date) -> pa.Scalar:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return pa.scalar(moment.replace(tzinfo=None), pa.timestamp("us"))


def _before(taken: pa.ChunkedArray, value: date) -> pa.ChunkedArray:
    if isinstance(value, datetime):
        return pc.less(taken, _moment(value))
    return pc.less_equal(pc.cast(taken, pa.date32(), safe=False), pa.scalar(value, pa.date32()))
