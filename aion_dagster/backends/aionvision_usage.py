"""What an Aionvision account used: credits, tokens and counts by day and operation, in rows of the table `usage`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import pyarrow as pa

from aion_dagster import schemas
from aion_dagster.backends.aionvision import AionvisionBackend
from aion_dagster.client import AionVision
from aion_dagster.client import errors as api
from aion_dagster.client.limits import PAGE
from aion_dagster.client.models.usage import UsageSummary
from aion_dagster.storage.call_records import Spent

PLATFORM: Final = "platform"
JOURNAL: Final = "journal"
ALL: Final = "all"
"""The operation of a row that is about all of them."""

_LONGEST: Final = timedelta(days=62)
"""How far back the platform is asked where nothing was read for long."""

_UNSUPPORTED: Final = (
    api.ResourceNotFoundError,
    api.AionvisionPermissionError,
    api.ValidationError,
)

Period = Literal["day", "month"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """Rows of schema `USAGE`; `facts` of the current month, for metadata; `missing` is what the platform does not tell."""

    table: pa.Table
    facts: dict[str, Any]
    missing: tuple[str, ...]


def read_usage(
    backend: AionvisionBackend,
    spent: Iterable[Spent],
    before: pa.Table | None,
    *,
    today: date | None = None,
) -> Usage:
    """Ask what was used since the last reading; nothing of this costs anything.

    Args:
        backend: the platform.
        spent: what the journal says.
        before: rows of the last reading, which are kept for the days that are not asked for again; None for the first.
        today: the day (UTC) that is not over.

    Raises:
        ConfigError: there is no key.
        UnavailableError: the platform refuses the key, or cannot be reached at all.
    """
    until = today or datetime.now(UTC).date()
    kept = [] if before is None else before.to_pylist()
    since = _since(kept, until)

    async def ask(client: AionVision) -> _Reading:
        reading = _Reading(client, since, until)
        await reading.read()
        return reading

    reading = backend.ask(ask)
    rows = [r for r in kept if r["origin"] == PLATFORM and _is_history(r, since, until)]
    rows += reading.rows()
    rows += [_of_journal(one) for one in _by_operation(spent, backend.engine)]
    rows.sort(key=lambda r: (r["day"], r["period"], r["origin"], r["operation"]))
    table = pa.Table.from_pylist(rows, schema=schemas.USAGE)
    return Usage(table, reading.facts, tuple(reading.missing))


def _since(kept: Sequence[Row], until: date) -> date:
    """The first day to ask for: the one before the last that was read, since what is booked late counts too."""
    days = [r["day"] for r in kept if r["origin"] == PLATFORM and r["period"] == "day"]
    first = max(days) - timedelta(days=1) if days else until.replace(day=1)
    return max(min(first, until), until - _LONGEST)


def _is_history(row: Row, since: date, until: date) -> bool:
    """Whether a row of an earlier reading is about a time that is not asked for again."""
    day: date = row["day"]
    return day < since if row["period"] == "day" else day < until.replace(day=1)


@dataclass
class _Amount:
    quantity: float | None = None
    credits: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def add(
        self,
        quantity: float | None = None,
        credits: float | None = None,  # noqa: A002 - the column's name
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
class _Reading:
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
        async def page(offset: int) -> list[tuple[datetime | None, float, int, int]]:
            found = await self.client.usage.file_tokens(limit=PAGE, offset=offset)
            return [(f.created_at, 1.0, f.input_tokens, f.output_tokens) for f in found.files]

        await self._tokens("describe", page)

    async def _chat_tokens(self) -> None:
        async def page(offset: int) -> list[tuple[datetime | None, float, int, int]]:
            found = await self.client.usage.conversation_tokens(limit=PAGE, offset=offset)
            return [
                (c.created_at, float(c.message_count), c.input_tokens, c.output_tokens)
                for c in found.conversations
            ]

        await self._tokens("chat", page)

    async def _tokens(
        self,
        operation: str,
        page: Callable[[int], Awaitable[list[tuple[datetime | None, float, int, int]]]],
    ) -> None:
        """Lists that begin with the newest are read until a page has nothing of the days that are asked for."""
        offset = 0
        while items := await page(offset):
            offset += len(items)
            wanted = [item for item in items if item[0] and self._is_wanted(item[0].date())]
            for created, quantity, given, made in wanted:
                if created is not None:
                    self._of_day(created.date(), operation).add(quantity, tokens=(given, made))
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


def _by_operation(spent: Iterable[Spent], engine: str) -> list[Spent]:
    return [one for one in spent if one.engine == engine and one.calls]


def _of_journal(one: Spent) -> Row:
    return {
        "day": date.fromisoformat(one.day),
        "period": "day",
        "operation": one.operation,
        "origin": JOURNAL,
        "quantity": float(one.calls),
        "credits": one.credits,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
    }
