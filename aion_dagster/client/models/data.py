"""The history of what was processed, and exports of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aion_dagster.client.models.base import (
    JsonMapping,
    Model,
    OpenEnum,
    Rows,
    UtcDatetime,
    either,
    rows,
)
from aion_dagster.client.models.nulls import Count, Counts, Flag, Text
from aion_dagster.client.models.statuses import WorkStatus


class ExportFormat(OpenEnum):
    """Formats of an export."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


class DataExportType(OpenEnum):
    """What can be exported."""

    DESCRIPTIONS = "descriptions"


class ProcessingResult(Model):
    """A description that was made."""

    id: str
    type: Text = ""
    source_type: Text = ""
    source_id: Text = ""
    created_at: UtcDatetime | None = None
    image_url: str | None = None
    stored_image_url: str | None = None
    description: str | None = None
    confidence_score: float | None = None
    image_id: str | None = None
    thumbnail_url: str | None = None
    metadata: JsonMapping = Field(default_factory=dict)


class ProcessingStatistics(Model):
    """Figures over everything that matches."""

    total_count: Count = 0
    average_confidence: float | None = None
    confidence_distribution: Counts = Field(default_factory=dict)
    daily_counts: Rows[dict[str, Any]] = rows("daily_counts")
    source_distribution: Counts = Field(default_factory=dict)


class FiltersApplied(Model):
    """Which conditions the server took notice of."""

    date_range_applied: Flag = False
    confidence_range_applied: Flag = False
    search_applied: Flag = False
    source_types_filtered: Flag = False
    filter_summary: str | None = None


class PageInfo(Model):
    """Where a page stands."""

    offset: Count = 0
    limit: Count = 0
    has_next: Flag = False
    has_previous: Flag = False
    total_pages: Count = 0
    current_page: Count = 1


class DescriptionHistory(Model):
    """A page of the history; `total_count` counts all that match."""

    results: Rows[ProcessingResult] = rows("results", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    statistics: ProcessingStatistics | None = None
    filters_applied: FiltersApplied | None = None
    page_info: PageInfo | None = None

    @property
    def has_more(self) -> bool:
        """Whether more pages exist, as far as the server says."""
        return self.page_info is not None and self.page_info.has_next


class ExportStatus(Model):
    """How far an export is; `download_url` needs no key."""

    export_id: str = Field(validation_alias=either("export_id", "id"))
    status: WorkStatus = WorkStatus.PENDING
    download_url: str | None = Field(default=None, repr=False)
    record_count: int | None = None
    format: Text = ""
    created_at: UtcDatetime | None = None
    estimated_completion_time: UtcDatetime | None = None
    error_message: str | None = Field(
        default=None, validation_alias=either("error_message", "error")
    )
