"""`client.audit`: what was done in the tenant, by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aion_dagster.client import limits
from aion_dagster.client.models.audit import AuditLogEntry, AuditLogList
from aion_dagster.client.moments import Moment, iso_moment
from aion_dagster.client.resources.base import Resource, pages
from aion_dagster.client.synchronous import SyncResource, blocking, iterating


class AuditResource(Resource):
    """Needs the role of an administrator."""

    async def list(
        self,
        *,
        event_type: str | None = None,
        severity: str | None = None,
        user_id: str | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        result: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> AuditLogList:
        """Events that fulfil all conditions.

        Args:
            event_type: auth.login, api_key.created …
            severity: info, warning, error, critical.
            user_id: who did it.
            date_from: at that moment or later; without a zone it is in UTC.
            date_to: at that moment or earlier.
            result: success, failure, denied.
            limit: 1 to 100 of them.
            offset: after so many.
        """
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        page = await self._ask(
            AuditLogList,
            "GET /tenant/audit-logs",
            query={
                "event_type": event_type,
                "severity": severity,
                "user_id": user_id,
                "date_from": iso_moment("date_from", date_from),
                "date_to": iso_moment("date_to", date_to),
                "result": result,
                "limit": limit,
                "offset": offset,
            },
        )
        return page.placed(len(page.entries), offset, limit)

    async def list_all(
        self,
        *,
        event_type: str | None = None,
        severity: str | None = None,
        user_id: str | None = None,
        date_from: Moment | None = None,
        date_to: Moment | None = None,
        result: str | None = None,
        page_size: int = 50,
    ) -> AsyncIterator[AuditLogEntry]:
        """Every event that fulfils all conditions (see `list`), `page_size` 1 to 100 at a time."""

        async def page(offset: int, limit: int) -> Sequence[AuditLogEntry]:
            found = await self.list(
                event_type=event_type,
                severity=severity,
                user_id=user_id,
                date_from=date_from,
                date_to=date_to,
                result=result,
                limit=limit,
                offset=offset,
            )
            return found.entries

        limits.check_number("page_size", page_size, 1, limits.PAGE)
        async for entry in pages(page, page_size):
            yield entry

    async def get(self, log_id: str) -> AuditLogEntry:
        """One event."""
        return await self._ask(
            AuditLogEntry, "GET /tenant/audit-logs/{log_id}", ids={"log_id": log_id}
        )


class SyncAuditResource(SyncResource[AuditResource]):
    """The same, blocking."""

    list = blocking(AuditResource.list)
    list_all = iterating(AuditResource.list_all)
    get = blocking(AuditResource.get)
