"""Moments as query strings and bodies want them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from aion_dagster.client import limits

Moment = datetime | date | str
"""A moment; without a zone it is in UTC, a date is its midnight."""


def iso_moment(field: str, moment: Moment | None) -> str | None:
    """A moment in ISO 8601 with its zone, where there is one.

    Raises:
        ValidationError: the text is no moment.
    """
    if moment is None:
        return None
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise limits.refuse(field, f"{moment!r} is no moment in ISO 8601") from None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z")
