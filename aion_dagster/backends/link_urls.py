"""Which URLs may be given to somebody else to be fetched, and when two mean the same page."""

from __future__ import annotations

from aion_dagster.client.limits import LINK_URL
from aion_dagster.crawling import addresses
from aion_dagster.crawling.addresses import page_of, shown

__all__ = ["page_of", "refusal", "shown"]


def refusal(url: str) -> str | None:
    """Why a URL is not given away; None where it may be. See `crawling.addresses.refusal`."""
    return addresses.refusal(url, longest=LINK_URL)
