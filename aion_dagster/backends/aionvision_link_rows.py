"""Rows of the table `links`: what became of a URL at the Aionvision platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from aion_dagster.backends.aionvision_begin import not_made
from aion_dagster.backends.calls import Begun, Standing
from aion_dagster.client.models.files import UserFile
from aion_dagster.client.models.links import LinkDetails

CRAWL: Final = "crawl"
"""The kind of a failure that left a link whose page could not be fetched."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SavedLink:
    """A link that the platform has."""

    url: str
    link_id: str
    was_there: bool


def crawled_row(link: SavedLink, file: UserFile | LinkDetails) -> Row:
    """The row of a link as the platform describes it."""
    og = file.og_metadata
    return {
        "link_id": link.link_id,
        "source_url": link.url,
        "domain": file.domain,
        "page_title": file.page_title or file.title,
        "og_metadata": None if og is None else _json(og),
        "favicon_url": file.favicon_url,
        "crawl_status": None if file.crawl_status is None else str(file.crawl_status),
        "crawl_error": file.crawl_error,
        "crawled_at": file.crawled_at,
        "was_there": link.was_there,
    }


def known_row(url: str, begun: Begun) -> Row | None:
    """The row of a link of which nothing has to be asked."""
    if begun.standing is Standing.SETTLED and begun.payload is not None:
        crawled = begun.payload.get("crawled_at")
        moment = datetime.fromisoformat(crawled) if isinstance(crawled, str) else None
        return {**begun.payload, "crawled_at": moment}
    bad = not_made(begun)
    if bad is None:
        return None
    kind, reason, retryable = bad
    if kind == CRAWL:
        crawl = {"link_id": begun.remote_id, "crawl_status": "failed", "crawl_error": reason}
        return {**row_without_link(url, None, None, retryable=retryable), **crawl}
    return {**row_without_link(url, kind, reason, retryable=retryable), "link_id": begun.remote_id}


def row_without_link(url: str, kind: str | None, reason: str | None, *, retryable: bool) -> Row:
    """The row of a URL that has no link, or of which that is not known."""
    return {
        "source_url": url,
        "was_there": False,
        "error": reason,
        "error_type": kind,
        "is_retryable": retryable,
    }


def open_rows(left: Mapping[str, Sequence[SavedLink]], kind: str, reason: str) -> dict[str, Row]:
    """Rows of links whose crawl is not over; the journal keeps their ids."""
    return {
        link.url: {
            **row_without_link(link.url, kind, reason, retryable=True),
            "link_id": link.link_id,
            "crawl_status": "processing",
            "was_there": link.was_there,
        }
        for links in left.values()
        for link in links
    }


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
