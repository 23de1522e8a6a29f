"""Upload sessions and single uploads: how far they are, and what came of them."""

from __future__ import annotations

import string
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aion_dagster.client import limits
from aion_dagster.client.models.upload_sessions import (
    UploadSessionItem,
    UploadSessionList,
    UploadSessionListItem,
    UploadSessionResults,
    UploadSessionStatus,
)
from aion_dagster.client.models.uploads import (
    DuplicateCheckResult,
    StuckUploads,
    UnifiedImageStatus,
)
from aion_dagster.client.resources.base import Resource, pages, until
from aion_dagster.client.retrying import Repeat

_HEX: Final = frozenset(string.hexdigits)


class UploadSessions(Resource):
    """Low-level methods that ask what became of files."""

    async def get_session_status(self, session_id: str) -> UploadSessionStatus:
        """How far a session is."""
        return await self._ask(
            UploadSessionStatus,
            "GET /uploads/sessions/{session_id}/status",
            ids={"session_id": session_id},
        )

    async def get_session_results(
        self, session_id: str, *, include_failed: bool = True, offset: int = 0, limit: int = 100
    ) -> UploadSessionResults:
        """A page of 1 to 500 results of a session."""
        limits.check_number("limit", limit, 1, limits.SESSION_PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            UploadSessionResults,
            "GET /uploads/sessions/{session_id}/results",
            ids={"session_id": session_id},
            query={"include_failed": include_failed, "offset": offset, "limit": limit},
        )

    async def iter_session_results(
        self,
        session_id: str,
        *,
        include_failed: bool = True,
        page_size: int = limits.SESSION_PAGE,
    ) -> AsyncIterator[UploadSessionItem]:
        """Every result of a session."""

        async def page(offset: int, limit: int) -> list[UploadSessionItem]:
            found = await self.get_session_results(
                session_id, include_failed=include_failed, offset=offset, limit=limit
            )
            return found.results

        async for item in pages(page, page_size):
            yield item

    async def wait_for_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        on_progress: Callable[[UploadSessionStatus], None] | None = None,
    ) -> UploadSessionStatus:
        """Look until a session has ended, well or not; `on_progress` hears of every look.

        Raises:
            AionvisionTimeoutError: it has not after `timeout` seconds; `last_result` is its last state.
        """
        return await until(
            lambda: self.get_session_status(session_id),
            lambda status: status.is_over,
            self._runtime,
            what=f"upload session {session_id}",
            interval=poll_interval or self._config.polling_interval,
            timeout=self._config.polling_timeout if timeout is None else timeout,
            on_look=on_progress,
        )

    async def cancel_session(self, session_id: str) -> UploadSessionStatus:
        """Stop a session; files that are done stay.

        Raises:
            ValidationError: it is over already.
        """
        return await self._ask(
            UploadSessionStatus,
            "POST /uploads/sessions/{session_id}/cancel",
            ids={"session_id": session_id},
            repeat=Repeat.ANSWERED,
        )

    async def list_sessions(
        self,
        *,
        status: str | None = None,
        upload_method: str | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> UploadSessionList:
        """A page of 1 to 100 sessions, the newest first.

        Args:
            status: only those in this state.
            upload_method: only `presigned` or `streaming` ones.
            limit: how many.
            offset: how many to leave out.
        """
        limits.check_number("limit", limit, 1, limits.PAGE)
        limits.check_number("offset", offset, 0, float("inf"))
        return await self._ask(
            UploadSessionList,
            "GET /uploads/sessions",
            query={
                "status": status,
                "upload_method": upload_method,
                "limit": limit,
                "offset": offset,
            },
        )

    async def iter_sessions(
        self,
        *,
        status: str | None = None,
        upload_method: str | None = None,
        page_size: int = limits.PAGE,
    ) -> AsyncIterator[UploadSessionListItem]:
        """Every session, the newest first."""

        async def page(offset: int, limit: int) -> list[UploadSessionListItem]:
            found = await self.list_sessions(
                status=status, upload_method=upload_method, limit=limit, offset=offset
            )
            return found.sessions

        async for session in pages(page, page_size):
            yield session

    async def check_duplicates(self, hashes: Sequence[str]) -> DuplicateCheckResult:
        """Which contents are there already; asks for 250 at a time.

        Args:
            hashes: SHA-256 in hexadecimal; each is asked for once.
        """
        if isinstance(hashes, str):
            raise limits.refuse("hashes", "a list of hashes is expected, not one string")
        asked = list(dict.fromkeys(value.lower() for value in hashes))
        for value in asked:
            if len(value) != 64 or not _HEX.issuperset(value):
                raise limits.refuse("hashes", f"{value!r} is no SHA-256 in hexadecimal")
        duplicates: list[str] = []
        unique: list[str] = []
        for first in range(0, len(asked), limits.HASHES):
            answer = await self._ask(
                DuplicateCheckResult,
                "POST /uploads/check-duplicates",
                body={"hashes": asked[first : first + limits.HASHES]},
            )
            duplicates += answer.duplicates
            unique += answer.unique
        return DuplicateCheckResult(duplicates=duplicates, unique=unique)

    async def get_status(self, image_id: str) -> UnifiedImageStatus:
        """The state of one upload."""
        return await self._ask(
            UnifiedImageStatus, "GET /uploads/status/{image_id}", ids={"image_id": image_id}
        )

    async def list_stuck(self, *, stuck_minutes: int = 30, limit: int = 100) -> StuckUploads:
        """Uploads that have not moved for so many minutes."""
        limits.check_number("stuck_minutes", stuck_minutes, 0, float("inf"))
        limits.check_number("limit", limit, 1, float("inf"))
        return await self._ask(
            StuckUploads,
            "GET /uploads/stuck-uploads",
            query={"stuck_minutes": stuck_minutes, "limit": limit},
        )
