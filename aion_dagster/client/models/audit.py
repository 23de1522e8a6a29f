"""What was done in a tenant, by whom."""

from __future__ import annotations

from typing import Any

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, rows
from aion_dagster.client.models.listing import Listing
from aion_dagster.client.models.nulls import Text


class AuditSeverity(OpenEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AuditResult(OpenEnum):
    """How an event ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class AuditLogEntry(Model):
    """An event; `event_type` is a word like `api_key.created`."""

    id: str
    event_type: Text = ""
    event_timestamp: UtcDatetime | None = None
    severity: AuditSeverity = AuditSeverity.INFO
    action: Text = ""
    result: AuditResult | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    ip_address: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    error_message: str | None = None
    metadata: dict[str, Any] | None = None


class AuditLogList(Listing):
    """A page of events."""

    entries: Rows[AuditLogEntry] = rows("entries", "items")
