"""Links: bookmarked pages whose content the server fetches."""

from __future__ import annotations

from pydantic import Field

from aion_dagster.client.models.base import Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.files import (
    DeleteFileResult,
    UpdateFileResult,
    UserFile,
    UserFileDetails,
)
from aion_dagster.client.models.listing import Listing
from aion_dagster.client.models.nulls import Flag, Text
from aion_dagster.client.models.statuses import WorkStatus


class LinkItem(UserFile):
    """A link as lists show it."""

    url: Text = Field(default="", validation_alias=either("url", "source_url"))
    crawl_status: WorkStatus | None = None


class LinkDetails(UserFileDetails):
    """All that is known of a link; what was found at its page after a crawl."""

    url: Text = Field(default="", validation_alias=either("url", "source_url"))
    crawl_status: WorkStatus | None = None


class LinkList(Listing):
    """A page of links; `total_count` counts all that match."""

    links: Rows[LinkItem] = rows("links", "files", "items")


class CreateLinkResult(Model):
    """A link that was saved; `is_duplicate` where the same URL was saved before."""

    id: str
    source_url: Text = Field(default="", validation_alias=either("source_url", "url"))
    title: str | None = None
    domain: Text = ""
    crawl_status: WorkStatus | None = None
    is_duplicate: Flag = False
    created_at: UtcDatetime | None = None


class LinkUpdateResult(UpdateFileResult):
    """A link after its title or tags were changed."""


class LinkDeleteResult(DeleteFileResult):
    """A link that was deleted; it can be recovered for 30 days."""


class RecrawlLinkResult(Model):
    """A crawl that was queued."""

    link_id: str = Field(default="", validation_alias=either("link_id", "id"))
    status: WorkStatus | None = Field(
        default=None, validation_alias=either("status", "crawl_status")
    )
    message: str | None = None
