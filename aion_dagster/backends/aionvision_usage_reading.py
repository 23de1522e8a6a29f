"""Asking an Aionvision account what it used, one view of it after the other; older servers and some keys lack some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.usage import UsageSummary

PLATFORM: Final = "platform"
ALL: Final = "all"
"""The operation of a row that is about all of them."""

_UNSUPPORTED: Final = (
    api.ResourceNotFoundError,
    api.AionvisionPermissionError,
    api.ValidationError,
)

Period = Literal["day", "month"]
Row = dict[str, Any]


class _Counted(NamedTuple):
    """A file or a chat in a list of what was used; the id tells two with the same numbers apart."""

    id: str
    created: datetime | None
    quantity: float
    input_tokens: int
    output_tokens: int


@dataclass
class _Amount:
    quantity: float | None = None
    credits: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def add(
        self,
        quantity: float | None = None,
        credits: float | None = None,
        tokens: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Add what is known."""
        self.quantity = _sum(self.quantity, quantity)
        self.credits = _sum(self.credits, credits)
        self.input_tokens = _sum(self.input_tokens, tokens[0])
        self.output_tokens = _sum(self.output_tokens, tokens[1])


def _sum(one: Any, other: Any) -> Any:
    return one if other is None else (one or 0) + other


@dataclass
class UsageReading:
    """Asks the platform, one view of the account after the other; older servers and some keys lack some of them."""

    client: AionVision
    since: date
    until: date
    facts: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    _amounts: dict[tuple[date, Period, str], _Amount] = field(
        default_factory=lambda: defaultdict(_Amount)
    )

    async def read(self) -> None:
        """Read everything."""
        for name, part in (
            ("requests by day", self._requests),
            ("activity by day", self._activity),
            ("credits by day", self._credits),
            ("tokens by file", self._file_tokens),
            ("tokens by chat", self._chat_tokens),
            ("credits of the month", self._month_credits),
            ("tokens of the month", self._month_tokens),
        ):
            await self._part(name, part)

    async def _part(self, name: str, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except _UNSUPPORTED:
            self.missing.append(name)

    def rows(self) -> list[Row]:
        """Rows of what was read."""
        return [
            {
                "day": day,
                "period": period,
                "operation": operation,
                "origin": PLATFORM,
                "quantity": amount.quantity,
                "credits": amount.credits,
                "input_tokens": amount.input_tokens,
                "output_tokens": amount.output_tokens,
            }
            for (day, period, operation), amount in self._amounts.items()
        ]

    def _of_day(self, day: date, operation: str) -> _Amount:
        return self._amounts[day, "day", operation]

    def _of_month(self, operation: str) -> _Amount:
        return self._amounts[self.until.replace(day=1), "month", operation]

    async def _requests(self) -> None:
        first, last = _moments(self.since, self.until)
        series = await self.client.usage.by_period(
            period_type="day", start_date=first, end_date=last
        )
        for point in series.data:
            if point.timestamp is not None and self._is_wanted(point.timestamp.date()):
                self._of_day(point.timestamp.date(), "requests").add(quantity=point.value)

    async def _activity(self) -> None:
        analytics = await self.client.usage.dashboard_analytics(period="month")
        for point in analytics.daily_activity:
            day = _day(point.date)
            if day is not None and self._is_wanted(day):
                self._of_day(day, "uploads").add(quantity=point.files_uploaded)
                self._of_day(day, "chat_messages").add(quantity=point.chat_messages)

    async def _credits(self) -> None:
        """A request per day on which anything happened."""
        active = {day for day, period, _ in self._amounts if period == "day"}
        days = (self.until - self.since).days + 1
        for day in (self.since + timedelta(days=n) for n in range(days)):
            if active and day not in active:
                continue
            first, last = _moments(day, day)
            summary = await self.client.usage.summary(start_date=first, end_date=last)
            # Servers that answer for another time than was asked for say nothing of this day.
            if summary.usage is not None and _is_about(summary, day):
                amount = self._of_day(day, ALL)
                amount.add(quantity=summary.usage.total_requests, credits=summary.total_credits)

    async def _file_tokens(self) -> None:
        async def page(offset: int) -> list[_Counted]:
            found = await self.client.usage.file_tokens(limit=PAGE, offset=offset)
            return [
                _Counted(f.image_id, f.created_at, 1.0, f.input_tokens, f.output_tokens)
                for f in found.files
            ]

        await self._tokens("describe", page)

    async def _chat_tokens(self) -> None:
        async def page(offset: int) -> list[_Counted]:
            found = await self.client.usage.conversation_tokens(limit=PAGE, offset=offset)
            return [
                _Counted(
                    c.session_id,
                    c.created_at,
                    float(c.message_count),
                    c.input_tokens,
                    c.output_tokens,
                )
                for c in found.conversations
            ]

        await self._tokens("chat", page)

    async def _tokens(
        self,
        operation: str,
        page: Callable[[int], Awaitable[list[_Counted]]],
    ) -> None:
        """Lists that begin with the newest are read until a page has nothing (more) of the days that are asked for."""
        offset = 0
        before: list[_Counted] = []
        while (items := await page(offset)) and items != before:
            offset, before = offset + len(items), items
            wanted = [one for one in items if one.created and self._is_wanted(one.created.date())]
            for one in wanted:
                if one.created is not None:
                    amount = self._of_day(one.created.date(), operation)
                    amount.add(one.quantity, tokens=(one.input_tokens, one.output_tokens))
            if not wanted:
                return

    async def _month_credits(self) -> None:
        breakdown = await self.client.usage.breakdown()
        self._of_month(ALL).add(credits=breakdown.total_credits_used)
        for operation, value in breakdown.by_operation_type.items():
            used = value.get("credits") if isinstance(value, dict) else value
            if isinstance(used, int | float):
                self._of_month(operation).add(credits=float(used))
        self.facts |= {
            "credits_this_month": breakdown.total_credits_used,
            "credits_left": breakdown.remaining_credits,
            "credits_limit": breakdown.monthly_limit,
            "renewed": breakdown.reset_date or "",
        }

    async def _month_tokens(self) -> None:
        tokens = await self.client.usage.monthly_tokens(
            year=self.until.year, month=self.until.month
        )
        self._of_month(ALL).add(tokens=(tokens.total_input_tokens, tokens.total_output_tokens))
        for operation, quantity, given, made in (
            (
                "describe",
                tokens.describe_operations,
                tokens.describe_input_tokens,
                tokens.describe_output_tokens,
            ),
            ("chat", tokens.chat_messages, tokens.chat_input_tokens, tokens.chat_output_tokens),
            (
                "verify",
                tokens.verify_operations,
                tokens.verify_input_tokens,
                tokens.verify_output_tokens,
            ),
        ):
            if (quantity, given, made) != (None, None, None):
                self._of_month(operation).add(quantity, tokens=(given, made))
        self.facts["tokens_this_month"] = tokens.total_tokens

    def _is_wanted(self, day: date) -> bool:
        return self.since <= day <= self.until


def _moments(first: date, last: date) -> tuple[datetime, datetime]:
    """From the first moment of a day to the last of another, in UTC."""
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    return begin, end - timedelta(seconds=1)


def _is_about(summary: UsageSummary, day: date) -> bool:
    period = summary.period
    if period is None or period.start is None or period.end is None:
        return False
    first, last = _moments(day, day)
    return period.start >= first and period.end <= last + timedelta(seconds=1)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
