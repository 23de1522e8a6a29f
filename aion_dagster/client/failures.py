"""Errors of requests that got no answer, or a bad one, without the key."""

from __future__ import annotations

import httpx

from aion_dagster.client.answers import error_of
from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionTimeoutError,
)
from aion_dagster.client.scrubbing import MASK, scrubbed


def broken(error: httpx.HTTPError, operation: str, key: str) -> AionvisionError:
    """The error of a request that got no (whole) answer."""
    text = f"{operation}: {str(error) or type(error).__name__}".replace(key, MASK)
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ConnectError):
        return AionvisionConnectionError(text, sent=False, code="CONNECTION_ERROR")
    if isinstance(error, httpx.TimeoutException):
        return AionvisionTimeoutError(text, code="REQUEST_TIMEOUT")
    return AionvisionConnectionError(text, code="CONNECTION_ERROR")


def refused(response: httpx.Response, operation: str, key: str) -> AionvisionError:
    """The error of an answer that was read, with the operation's name; without the key should the server have sent it back."""
    error = error_of(response)
    error.message = f"{operation}: {error.message}"
    return scrubbed(error, key)
