"""`client.usage`: requests, credits and tokens that were used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.models.usage import (
    PlanUsage,
    TopEndpoints,
    UsageBreakdown,
    UsageByPeriod,
    UsageCheck,
    UsageDetails,
    UsageEvent,
    UsageSummary,
)
from aion_dagster.client.models.usage_tokens import (
    ConversationTokenUsage,
    ConversationTokenUsageItem,
    DashboardAnalytics,
    FileTokenUsage,
    FileTokenUsageItem,
    MonthlyTokenUsage,
)
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource, pages
from aion_dagster.client.synchronous import SyncResource, blocking, iterating

TOP_ENDPOINTS: Final = 50
PERIODS: Final = ("week", "month", "year")


class UsageResource(Resource):
    """Moments without a zone are in UTC; where neither is given the server takes the current month."""

    async def check(
        self, item_count: int = 1, *, verification_level: str | None = None
    ) -> UsageCheck:
        """Whether so many items can be worked on with the credits that are left.

        Args:
            item_count: how many.
            verification_level: quick, standard, thorough or critical, for older servers that price by it.
        """
        limits.check_number("item_count", item_count, 0, float("inf"))
        return await self._ask(
            UsageCheck,
            "POST /usage/check",
            body={"item_count": item_count, "verification_level": verification_level},
        )

    async def summary(
        self,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        period: str | None = None,
        api_key_id: str | None = None,
    ) -> UsageSummary:
        """Requests, speed and limits: from one moment to another, or of the current day, week or month."""
        return await self._ask(
            UsageSummary,
            "GET /usage/summary",
            query={
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
                "period": period,
                "api_key_id": api_key_id,
            },
        )

    async def details(
        self,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        api_key_id: str | None = None,
        operation_type: str | None = None,
        page: int = 1,
        page_size: int = 50,
    ) -> UsageDetails:
        """A page of single requests; pages count from 1 and have 1 to 100 of them."""
        limits.check_number("page", page, 1, float("inf"))
        limits.check_number("page_size", page_size, 1, limits.PAGE)
        return await self._ask(
            UsageDetails,
            "GET /usage/details",
            query={
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
                "api_key_id": api_key_id,
                "operation_type": operation_type,
                "page": page,
                "page_size": page_size,
            },
        )

    async def iter_details(
        self,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        api_key_id: str | None = None,
        operation_type: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[UsageEvent]:
        """Every single request until `end_date` (by default until now), `page_size` 1 to 100 at a time.

        Reading them is made of requests too: without an end each page would move the next one, for ever.
        """
        end_date = datetime.now(UTC) if end_date is None else end_date
        before: set[str] = set()
        number = 0
        while True:
            number += 1
            found = await self.details(
                start_date=start_date,
                end_date=end_date,
                api_key_id=api_key_id,
                operation_type=operation_type,
                page=number,
                page_size=page_size,
            )
            if not found.events:
                return
            for event in found.events:
                if not event.id or event.id not in before:
                    yield event
            before = {event.id for event in found.events}

    async def by_period(
        self,
        *,
        period_type: str = "day",
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        api_key_id: str | None = None,
    ) -> UsageByPeriod:
        """Use by hour, day or month."""
        return await self._ask(
            UsageByPeriod,
            "GET /usage/by-period",
            query={
                "period_type": period_type,
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
                "api_key_id": api_key_id,
            },
        )

    async def plan(self, *, period: str = "month", include_projections: bool = True) -> PlanUsage:
        """The plan and how much of it is used in a month, quarter or year."""
        return await self._ask(
            PlanUsage,
            "GET /usage/plan",
            query={"period": period, "include_projections": include_projections},
        )

    async def top_endpoints(
        self,
        *,
        limit: int = 10,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
    ) -> TopEndpoints:
        """The endpoints that were asked most, 1 to 50 of them."""
        limits.check_number("limit", limit, 1, TOP_ENDPOINTS)
        return await self._ask(
            TopEndpoints,
            "GET /usage/top-endpoints",
            query={
                "limit": limit,
                "start_date": iso_moment("start_date", start_date),
                "end_date": iso_moment("end_date", end_date),
            },
        )

    async def breakdown(self) -> UsageBreakdown:
        """Credits of the current month."""
        return await self._ask(UsageBreakdown, "GET /usage/breakdown")

    async def monthly_tokens(
        self, *, year: int | None = None, month: int | None = None
    ) -> MonthlyTokenUsage:
        """Tokens of a month (1 to 12), by default the current one."""
        limits.check_number("month", month, 1, 12)
        return await self._ask(
            MonthlyTokenUsage, "GET /usage/tokens/monthly", query={"year": year, "month": month}
        )

    async def file_tokens(self, *, limit: int = 50, offset: int = 0) -> FileTokenUsage:
        """Tokens by file, the newest first, 1 to 100 at a time."""
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            FileTokenUsage, "GET /usage/tokens/files", query={"limit": limit, "offset": offset}
        )

    async def iter_file_tokens(self, *, page_size: int = 100) -> AsyncIterator[FileTokenUsageItem]:
        """Tokens of every file (see `file_tokens`), `page_size` 1 to 100 at a time."""

        async def page(offset: int, limit: int) -> Sequence[FileTokenUsageItem]:
            return (await self.file_tokens(limit=limit, offset=offset)).files

        async for item in pages(page, page_size):
            yield item

    async def conversation_tokens(
        self, *, limit: int = 50, offset: int = 0
    ) -> ConversationTokenUsage:
        """Tokens by chat, the newest first, 1 to 100 at a time."""
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            ConversationTokenUsage,
            "GET /usage/tokens/conversations",
            query={"limit": limit, "offset": offset},
        )

    async def iter_conversation_tokens(
        self, *, page_size: int = 100
    ) -> AsyncIterator[ConversationTokenUsageItem]:
        """Tokens of every chat (see `conversation_tokens`), `page_size` 1 to 100 at a time."""

        async def page(offset: int, limit: int) -> Sequence[ConversationTokenUsageItem]:
            found = await self.conversation_tokens(limit=limit, offset=offset)
            return found.conversations

        async for item in pages(page, page_size):
            yield item

    async def dashboard_analytics(self, *, period: str = "month") -> DashboardAnalytics:
        """What was done, by day: of a week, month or year."""
        limits.check_word("period", period, PERIODS)
        return await self._ask(
            DashboardAnalytics, "GET /usage/dashboard-analytics", query={"period": period}
        )


class SyncUsageResource(SyncResource[UsageResource]):
    """The same, blocking."""

    check = blocking(UsageResource.check)
    summary = blocking(UsageResource.summary)
    details = blocking(UsageResource.details)
    iter_details = iterating(UsageResource.iter_details)
    by_period = blocking(UsageResource.by_period)
    plan = blocking(UsageResource.plan)
    top_endpoints = blocking(UsageResource.top_endpoints)
    breakdown = blocking(UsageResource.breakdown)
    monthly_tokens = blocking(UsageResource.monthly_tokens)
    file_tokens = blocking(UsageResource.file_tokens)
    iter_file_tokens = iterating(UsageResource.iter_file_tokens)
    conversation_tokens = blocking(UsageResource.conversation_tokens)
    iter_conversation_tokens = iterating(UsageResource.iter_conversation_tokens)
    dashboard_analytics = blocking(UsageResource.dashboard_analytics)
