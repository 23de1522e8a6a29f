"""Materials in pictures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aion_dagster.client.models.base import Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Text
from aion_dagster.client.models.statuses import WorkStatus


class MaterialClassificationResult(Model):
    """How far the classification is, and what it found; the API does not say what that holds."""

    image_id: str
    status: WorkStatus = WorkStatus.PENDING
    material_classification: dict[str, Any] | None = None
    classified_at: UtcDatetime | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the materials are there."""
        return self.status.is_success

    @property
    def is_failed(self) -> bool:
        """Whether there will be none."""
        return self.status.is_failure

    @property
    def is_pending(self) -> bool:
        """Whether it is not over."""
        return not self.status.is_over


class MaterialSearchResult(Model):
    """A picture that shows the material; `confidence_score` 0 to 1."""

    image_id: str
    thumbnail_url: str | None = None
    material_classification: dict[str, Any] | None = None
    confidence_score: float = 1.0


class MaterialSearchResponse(Model):
    """A page of pictures that show the material."""

    results: Rows[MaterialSearchResult] = rows("results", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    limit: Count = 0
    offset: Count = 0

    @property
    def has_more(self) -> bool:
        """Whether there are more behind this page."""
        return bool(self.results) and self.offset + len(self.results) < self.total_count


class MaterialType(Model):
    """A material that is recognized; `type` is what a search takes."""

    type: str
    display_name: Text = ""
    description: Text = ""
    common_finishes: Rows[str] = rows("common_finishes")


class BatchMaterialClassificationResult(Model):
    """How many pictures wait to be classified; ask for each by itself."""

    queued_count: Count = 0
    message: Text = ""
