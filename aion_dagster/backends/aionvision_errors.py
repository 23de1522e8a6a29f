"""Errors of the platform, as tables name them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aion_dagster.client import errors as api
from aion_dagster.client.answers import is_quota
from aion_dagster.engines import AIONVISION_URL_ENV, AionvisionConfig

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
    (api.UploadError, "source"),
)

_API: Final = "/api/v2"

_LONGEST: Final = 1_000
"""Characters of a server's words that go into tables and the journal."""


def kind_of(error: api.AionvisionError) -> str:
    """The word for a column `error_type`."""
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "api")


def refused_for_good(error: api.AionvisionError) -> bool:
    """Whether asking again would be answered alike."""
    final = api.ValidationError | api.ResourceNotFoundError | api.AionvisionPermissionError
    return isinstance(error, final)


def told(words: str | None, otherwise: str) -> str:
    """What the server says of a failure, cut where that is long; `otherwise` where it says nothing."""
    if not words:
        return otherwise
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def is_used_up(error: api.AionvisionError) -> bool:
    """Whether a quota is spent, so that whatever else is sent would be refused too.

    A bare 413 says it of a request's size as often as of a quota.
    """
    if not isinstance(error, api.QuotaExceededError):
        return False
    return error.status != 413 or is_quota(error.code)


def never_begun(error: api.AionvisionError) -> bool:
    """Whether the server surely did nothing, and may do it another time: as if the call was not sent."""
    return not error.begun and not refused_for_good(error)


def unavailable(error: api.AionvisionError, config: AionvisionConfig) -> str:
    """Why the platform cannot be asked: at which address, and which setting to look at."""
    where = f"Aionvision at {_place(config.address)}"
    what = f"{type(error).__name__}: {error}"
    setting = f"aionvision.base_url, or the environment variable {AIONVISION_URL_ENV}"
    if isinstance(error, api.AuthenticationError | api.AionvisionPermissionError):
        return f"{where} refuses the key of the environment variable {config.api_key_env}: {what}"
    if isinstance(error, api.AionvisionConnectionError | api.CircuitBreakerError):
        return f"{where} cannot be reached: {what}; {setting} says where it is"
    is_elsewhere = not config.address.rstrip("/").endswith(_API)
    if isinstance(error, api.ResourceNotFoundError) and is_elsewhere:
        return f"{where} has no such address: {what}; {setting} ends with {_API} as a rule"
    return f"{where}: {what}"


def _place(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
