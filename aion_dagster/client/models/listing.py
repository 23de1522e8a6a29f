"""Envelopes of lists, of which some say less than others."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from aion_dagster.client.models.base import Model, either
from aion_dagster.client.models.nulls import Count, Flag


class Listing(Model):
    """A page of a list."""

    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    has_more: Flag = False

    def placed(self, came: int, offset: int, limit: int) -> Self:
        """The page with `has_more` worked out where the server did not say it.

        Args:
            came: items on this page.
            offset: items before it.
            limit: items asked for.
        """
        known = self.model_fields_set
        if "has_more" in known:
            return self
        more = offset + came < self.total_count if "total_count" in known else 0 < came == limit
        return self.model_copy(update={"has_more": more and came > 0})
