"""Errors of the platform, as tables name them."""

from __future__ import annotations

from typing import Final

from aion_dagster.client import errors as api

_KINDS: Final[tuple[tuple[type[api.AionvisionError], str], ...]] = (
    (api.QuotaExceededError, "quota"),
    (api.RateLimitError, "rate_limit"),
    (api.AionvisionTimeoutError, "timeout"),
    (api.CircuitBreakerError, "network"),
    (api.AionvisionConnectionError, "network"),
    (api.InvalidResponseError, "invalid_response"),
    (api.ServerError, "server"),
    (api.ValidationError, "validation"),
    (api.ResourceNotFoundError, "not_found"),
    (api.ConflictError, "conflict"),
)


def kind_of(error: api.AionvisionError) -> str:
    """The word for a column `error_type`."""
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "api")


def refused_for_good(error: api.AionvisionError) -> bool:
    """Whether asking again would be answered alike."""
    final = api.ValidationError | api.ResourceNotFoundError | api.AionvisionPermissionError
    return isinstance(error, final)


def never_begun(error: api.AionvisionError) -> bool:
    """Whether the server surely did nothing, and may do it another time: as if the call was not sent."""
    return not error.begun and not refused_for_good(error)
