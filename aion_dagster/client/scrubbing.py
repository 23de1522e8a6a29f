"""Errors without secrets that a server sent back in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from aion_dagster.client.errors import AionvisionError

E = TypeVar("E", bound=AionvisionError)

MASK: Final = "…"
SHORTEST: Final = 4
"""Characters of a secret's beginning that are taken for it where a long text was cut off."""


def scrubbed(error: E, *secrets: str) -> E:
    """The same error with every secret masked: in message, code, request id and details."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        error.message = _masked(error.message, secret)
        error.code = _masked(error.code, secret)
        error.request_id = _masked(error.request_id, secret)
        error.details = _masked(error.details, secret)
    error.args = (error.message,)
    return error


def _masked(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return _without(value, secret)
    if isinstance(value, Mapping):
        return {_masked(k, secret): _masked(v, secret) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each, secret) for each in value]
    return value


def _without(text: str, secret: str) -> str:
    """The text without the secret, and without its beginning before a mark that something was cut off."""
    text = text.replace(secret, MASK)
    for length in range(len(secret) - 1, SHORTEST - 1, -1):
        text = text.replace(secret[:length] + "…", MASK)
    return text
