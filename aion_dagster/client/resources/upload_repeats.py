"""What follows for a request with files that failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aion_dagster.client.answers import QUOTA_CODES
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
    InvalidResponseError,
    ValidationError,
)

UNDESCRIBED: Final = "IMAGE_PROCESSING_ERROR"
"""Code of a failure that concerns one picture and may pass."""

_TOO_MUCH: Final = frozenset({"TIMEOUT", "MEMORY_LIMIT_EXCEEDED"})
"""Codes that ask for smaller batches."""


def sent_again(
    indices: Sequence[int], form: dict[str, Any], error: AionvisionError
) -> list[tuple[Sequence[int], dict[str, Any]]]:
    """How to send once more what failed: in halves, or finding what was stored although no answer came."""
    lost = isinstance(error, AionvisionTimeoutError | InvalidResponseError) or (
        isinstance(error, AionvisionConnectionError) and error.sent
    )
    changed = form | {"skip_duplicates": True} if lost else form
    too_much = error.code in _TOO_MUCH or (error.status == 413 and error.code not in QUOTA_CODES)
    if too_much and len(indices) > 1:
        half = len(indices) // 2
        return [(indices[:half], changed), (indices[half:], changed)]
    if lost and not form["skip_duplicates"]:
        return [(indices, changed)]
    return []


def is_about_the_file(error: AionvisionError) -> bool:
    """Whether other files may fare better."""
    too_large = error.status == 413 and error.code is not None and error.code not in QUOTA_CODES
    refused_by_server = isinstance(error, ValidationError) and error.status is not None
    return error.code == UNDESCRIBED or too_large or refused_by_server
