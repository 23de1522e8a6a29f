"""What goes on in the background: over after so many looks or so many seconds, or never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something came to nothing."""

    kind: str = "vlm_error"
    message: str = "IMAGE_PROCESSING_ERROR: the picture could not be analysed"
    retryable: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Failure:
        return cls(**{k: options[k] for k in ("kind", "message", "retryable") if k in options})


@dataclass(slots=True)
class Work:
    """One thing that is being done."""

    looks: int
    due: float
    stuck: bool = False
    failure: Failure | None = None
    cancelled: bool = False

    def look(self) -> None:
        """Somebody asks for it."""
        self.looks = max(self.looks - 1, 0)

    def is_over(self, now: float) -> bool:
        return self.cancelled or (not self.stuck and self.looks <= 0 and now >= self.due)

    def state(self, now: float) -> str:
        """processing, completed, failed or cancelled."""
        if self.cancelled:
            return "cancelled"
        if not self.is_over(now):
            return "processing"
        return "failed" if self.failure else "completed"


def finished() -> Work:
    """Work that needs none."""
    return Work(0, 0.0)
