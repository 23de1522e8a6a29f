"""What a tenant used: requests and credits."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aion_dagster.client.models.base import JsonMapping, Model, Rows, UtcDatetime, rows
from aion_dagster.client.models.nulls import Count, Flag, Text


class UsageCheck(Model):
    """Whether something can be done with the credits that are left."""

    can_proceed: Flag = False
    current_usage: Count = 0
    monthly_limit: Count = 0
    required_credits: Count = 0
    available_credits: Count = 0
    reset_date: str | None = None
    message: str | None = None
    prepaid_credits: Count = 0
    # Overage was replaced by prepaid credits; servers still send it.
    supports_overage: Flag = False
    included_credits: Count = 0
    overage_credits_used: Count = 0
    max_overage_credits: Count = 0
    overage_cost: float = 0.0


class UsageBreakdown(Model):
    """Credits of the current month; the two objects only where the server still splits them."""

    current_month: Text = ""
    total_credits_used: Count = 0
    monthly_limit: Count = 0
    remaining_credits: Count = 0
    usage_percentage: float = 0.0
    reset_date: str | None = None
    by_verification_level: JsonMapping = Field(default_factory=dict)
    by_operation_type: JsonMapping = Field(default_factory=dict)


# The published schema says nothing of what follows; the fields are those that the vendor's pages show.


class UsagePeriod(Model):
    """From when to when."""

    start: UtcDatetime | None = None
    end: UtcDatetime | None = None


class RequestCounts(Model):
    """Requests by kind and outcome."""

    verify_count: Count = 0
    describe_count: Count = 0
    batch_count: Count = 0
    total_requests: Count = 0
    successful_requests: Count = 0
    failed_requests: Count = 0


class UsagePerformance(Model):
    """How fast the server answered."""

    avg_response_time_ms: float | None = None


class UsageLimits(Model):
    """How much of the month's limit is used."""

    monthly_limit: int | None = None
    used_this_month: Count = 0
    remaining: int | None = None
    percentage_used: float | None = None


class UsagePlan(Model):
    """How much of the plan is used."""

    name: Text = ""
    requests_limit: int | None = None
    requests_used: Count = 0
    requests_remaining: int | None = None
    usage_percentage: float | None = None
    renewal_date: str | None = None


class UsageSummary(Model):
    """Requests, speed and limits over a time."""

    period: UsagePeriod | None = None
    usage: RequestCounts | None = None
    performance: UsagePerformance | None = None
    limits: UsageLimits | None = None
    plan: UsagePlan | None = None
    total_credits: int | None = None


class UsageEvent(Model):
    """A request that was made."""

    id: Text = ""
    timestamp: UtcDatetime | None = None
    operation_type: str | None = None
    endpoint: str | None = None
    method: str | None = None
    status_code: int | None = None
    response_time_ms: float | None = None
    error_code: str | None = None
    api_key_id: str | None = None


class Pagination(Model):
    """Where a page stands; pages are counted from 1."""

    page: Count = 0
    page_size: Count = 0
    total_count: Count = 0
    total_pages: Count = 0


class UsageDetails(Model):
    """A page of requests."""

    events: Rows[UsageEvent] = rows("events", "items")
    pagination: Pagination | None = None


class UsagePoint(Model):
    """What was used in one hour, day or month."""

    timestamp: UtcDatetime | None = None
    value: float | None = None
    label: str | None = None


class UsageByPeriod(Model):
    """A series over time."""

    period_type: str | None = None
    start_date: UtcDatetime | None = None
    end_date: UtcDatetime | None = None
    data: Rows[UsagePoint] = rows("data", "items")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        """The list alone."""
        return {"data": data} if isinstance(data, list) else data


class PlanUsage(Model):
    """The plan, its billing period, and where the use is heading."""

    billing_period: JsonMapping = Field(default_factory=dict)
    plan_details: JsonMapping = Field(default_factory=dict)
    projections: JsonMapping = Field(default_factory=dict)
    optimization_recommendations: JsonMapping = Field(default_factory=dict)


class TopEndpoints(Model):
    """The endpoints that were asked most; no source names the fields of one."""

    endpoints: Rows[dict[str, Any]] = rows("endpoints", "top_endpoints", "items", "data")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        """The list alone."""
        return {"endpoints": data} if isinstance(data, list) else data
