"""Reading answers: the JSON that is promised, or the error that the body's code, then the status, decides."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import orjson

from aion_dagster.client.errors import (
    AionvisionConnectionError,
    AionvisionError,
    AionvisionPermissionError,
    AionvisionTimeoutError,
    AuthenticationError,
    ConflictError,
    InvalidResponseError,
    QuotaExceededError,
    RateLimitError,
    ResourceNotFoundError,
    ServerError,
    ValidationError,
)
from aion_dagster.client.scrubbing import MASK

QUOTA_CODES: Final = frozenset({"STORAGE_QUOTA_EXCEEDED", "USAGE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED"})
"""Codes that no waiting helps against, whatever status and `Retry-After` say."""

_USED_UP: Final = re.compile(
    r"(\w+_)?QUOTA_(EXCEEDED|REACHED)|(TOKEN|MESSAGE|CREDIT)S?_LIMIT_(EXCEEDED|REACHED)"
)
"""Codes that say the same of a chat's tokens and messages, and of what else is counted."""

PACED_CODES: Final = frozenset({"RATE_LIMIT_ERROR", "MEMORY_LIMIT_EXCEEDED"})
"""Codes after which the request has not been worked on and may be made again later."""

TOO_LARGE_CODES: Final = frozenset(
    {"FILE_TOO_LARGE", "BATCH_TOO_LARGE", "PAYLOAD_TOO_LARGE", "REQUEST_TOO_LARGE"}
)
"""Codes of a request that is too large in itself, whatever the quota."""

_KEY_CODES: Final = frozenset({"INVALID_API_KEY", "EXPIRED_API_KEY"})
_LONGEST: Final = 2_000
"""Characters of a server's message that are kept; it goes into exceptions, logs and tables."""

_SHOWN: Final = 300
"""Characters of a body that is no JSON that are shown."""


def decoded(response: httpx.Response, key: str) -> Any:
    """The JSON of a good answer; None where it has no body. The `key` is masked in it, should a server send it back.

    Raises:
        InvalidResponseError: the body is not JSON, or was cut short.
    """
    content = response.content
    if response.status_code == httpx.codes.NO_CONTENT or not content:
        return None
    if (secret := key.encode()) in content:
        content = content.replace(secret, MASK.encode())
    try:
        return orjson.loads(content)
    except ValueError as error:
        raise InvalidResponseError(
            f"{_said(response)} is not JSON: {error}",
            code="INVALID_RESPONSE",
            status=response.status_code,
            request_id=_request_id(response, None),
        ) from None


def is_quota(code: str | None) -> bool:
    """Whether a code says that something is used up."""
    return code is not None and (code in QUOTA_CODES or _USED_UP.fullmatch(code) is not None)


def error_of(response: httpx.Response, now: datetime | None = None) -> AionvisionError:
    """The typed error of an answer with a status of 400 and more (or a redirect that is not followed)."""
    body = _json(response)
    code, message, details = _parts(body)
    status = response.status_code
    known: dict[str, Any] = {
        "code": code,
        "details": details,
        "request_id": _request_id(response, body),
        "status": status,
    }
    text = _cut(message) or f"{_said(response)} {_shown(response)}".strip()
    if code in TOO_LARGE_CODES:
        return ValidationError(text, **known)
    if is_quota(code) or status in (402, 413, 507):
        return QuotaExceededError(text, **known)
    if code in _KEY_CODES or status == 401:
        return AuthenticationError(text, **known)
    if code in PACED_CODES or status == 429:
        return _rate_limit(text, response, now, known)
    if code == "TIMEOUT" or status in (408, 504):
        return AionvisionTimeoutError(text, **known)
    kind: type[AionvisionError] = _BY_STATUS.get(status, AionvisionError)
    if status >= 500:
        kind = ServerError
    elif 300 <= status < 400:
        return AionvisionConnectionError(
            f"{_said(response)}: the server sends the request elsewhere, where the key must not go",
            sent=False,
            **(known | {"code": "REDIRECTED"}),
        )
    return kind(text, **known)


_BY_STATUS: Final[Mapping[int, type[AionvisionError]]] = {
    400: ValidationError,
    422: ValidationError,
    403: AionvisionPermissionError,
    404: ResourceNotFoundError,
    410: ResourceNotFoundError,
    409: ConflictError,
}


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None without one that can be read."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    if not 0 <= seconds < float("inf"):
        return 0.0 if seconds < 0 else None
    return seconds


def _rate_limit(
    text: str, response: httpx.Response, now: datetime | None, known: dict[str, Any]
) -> RateLimitError:
    headers = response.headers
    return RateLimitError(
        text,
        retry_after=retry_after(headers, now),
        limit=_whole(headers.get("x-ratelimit-limit")),
        remaining=_whole(headers.get("x-ratelimit-remaining")),
        reset=_whole(headers.get("x-ratelimit-reset")),
        **known,
    )


def _parts(body: Any) -> tuple[str | None, str, dict[str, Any]]:
    """Code, message and details of an error body of any shape that the sources name."""
    if not isinstance(body, dict):
        return None, "", {}
    error, detail = body.get("error"), body.get("detail")
    if isinstance(error, dict):
        return (
            _text(error.get("code")),
            _text(error.get("message")) or "",
            _mapping(error.get("details")),
        )
    if isinstance(detail, dict):
        return _parts({"error": detail.get("error", detail)})
    if isinstance(detail, list):
        return "VALIDATION_ERROR", _complaints(detail), {"errors": detail, **_first_field(detail)}
    message = _text(body.get("message")) or _text(detail) or _text(error) or ""
    code = _text(body.get("code")) or _text(body.get("error_code"))
    if code is None and isinstance(error, str) and error.isupper() and " " not in error:
        code = error
    return code, message, _mapping(body.get("details"))


def _complaints(detail: list[Any]) -> str:
    """What a list of `{loc, msg}` says, in a line."""
    return "; ".join(
        f"{'.'.join(str(p) for p in item.get('loc', [])[1:])}: {item.get('msg', '')}".strip(": ")
        for item in detail
        if isinstance(item, dict)
    )


def _first_field(detail: list[Any]) -> dict[str, str]:
    for item in detail:
        if isinstance(item, dict) and item.get("loc"):
            return {"field": ".".join(str(p) for p in item["loc"][1:])}
    return {}


def _json(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except ValueError:
        return None


def _request_id(response: httpx.Response, body: Any) -> str | None:
    told = body.get("request_id") if isinstance(body, dict) else None
    return _text(told) or response.headers.get("x-request-id")


def _said(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _cut(message: str) -> str:
    """A message that is not too long; marked where it was cut off, so that the beginning of a secret there is found."""
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def _shown(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    return f"({text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''})" if text else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {} if value is None else {"details": value}


def _whole(value: str | None) -> int | None:
    try:
        return int(float(value)) if value else None
    except (ValueError, OverflowError):
        return None
