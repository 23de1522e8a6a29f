"""Words for the state of work that is under way at the server."""

from __future__ import annotations

from typing import Final

from aion_dagster.client.models.base import OpenEnum


class WorkStatus(OpenEnum):
    """How far something is; words that nobody has told us of count as not over."""

    PENDING = "pending"
    QUEUED = "queued"
    UPLOADING = "uploading"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    EXPIRED = "expired"
    REJECTED = "rejected"
    SKIPPED = "skipped"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self.value.lower() in _OVER

    @property
    def is_success(self) -> bool:
        """Whether all of it was done."""
        return self.value.lower() in _GOOD

    @property
    def is_failure(self) -> bool:
        """Whether it is over and nothing came of it."""
        return self.value.lower() in _BAD


_GOOD: Final = frozenset({"completed", "complete", "success", "succeeded", "done", "ready"})
_BAD: Final = frozenset(
    {"failed", "error", "cancelled", "canceled", "aborted", "expired", "rejected"}
)
_OVER: Final = _GOOD | _BAD | {"partial", "partially_completed", "skipped"}
