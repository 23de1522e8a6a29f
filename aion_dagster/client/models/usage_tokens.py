"""What a tenant used: tokens, and what was done by day."""

from __future__ import annotations

from pydantic import Field

from aion_dagster.client.models.base import Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Text


class MonthlyTokenUsage(Model):
    """Tokens of a month; by operation only where the server still splits them."""

    year: Count = 0
    month: Count = 0
    total_input_tokens: Count = 0
    total_output_tokens: Count = 0
    total_tokens: Count = 0
    describe_input_tokens: int | None = None
    describe_output_tokens: int | None = None
    describe_operations: int | None = None
    chat_input_tokens: int | None = None
    chat_output_tokens: int | None = None
    chat_messages: int | None = None
    verify_input_tokens: int | None = None
    verify_output_tokens: int | None = None
    verify_operations: int | None = None
    total_cache_read_tokens: int | None = None
    total_cache_creation_tokens: int | None = None


class _Tokens(Model):
    """Tokens of one thing."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    total_tokens: Count = 0
    created_at: UtcDatetime | None = None


class FileTokenUsageItem(_Tokens):
    """Tokens of a file."""

    image_id: str
    filename: str | None = None


class FileTokenUsage(Model):
    """A page of files, the newest first."""

    files: Rows[FileTokenUsageItem] = rows("files", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    total_input_tokens: Count = 0
    total_output_tokens: Count = 0


class ConversationTokenUsageItem(_Tokens):
    """Tokens of a chat."""

    session_id: str
    title: str | None = None
    message_count: Count = 0


class ConversationTokenUsage(Model):
    """A page of chats, the newest first."""

    conversations: Rows[ConversationTokenUsageItem] = rows("conversations", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    total_input_tokens: Count = 0
    total_output_tokens: Count = 0


class DailyActivityPoint(Model):
    """What was done on a day."""

    date: Text = ""
    files_uploaded: Count = 0
    chat_messages: Count = 0


class DashboardAnalytics(Model):
    """What was done in a week, month or year."""

    period: Text = ""
    start_date: Text = ""
    end_date: Text = ""
    daily_activity: Rows[DailyActivityPoint] = rows("daily_activity")
    total_chat_messages: Count = 0
    total_files_uploaded: Count = 0
    total_chat_sessions: Count = 0
    avg_processing_time_ms: float | None = None
    success_rate: float | None = None
    processing_tokens: Count = 0
    chat_tokens: Count = 0
    total_tokens: Count = 0
    current_month_chat_tokens: Count = 0
    max_monthly_chat_tokens: Count = 0
