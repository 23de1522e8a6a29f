"""Errors as the server writes them, in each of the shapes that the sources name."""

from __future__ import annotations

from typing import Any, Final

from .clock import stamp
from .exchange import Refusal

TOO_MANY: Final = {
    "rate": "RATE_LIMIT_ERROR",
    "quota": "QUOTA_EXCEEDED",
    "usage": "USAGE_LIMIT_EXCEEDED",
    "memory": "MEMORY_LIMIT_EXCEEDED",
    "concurrency": "CONCURRENCY_LIMIT_EXCEEDED",
}

_BY_STATUS: Final = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    413: "STORAGE_QUOTA_EXCEEDED",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMIT_ERROR",
    500: "INTERNAL_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "TIMEOUT",
    507: "STORAGE_QUOTA_EXCEEDED",
}


def code_of(status: int) -> str:
    return _BY_STATUS.get(status, "ERROR")


def error_body(operation: str, refusal: Refusal, shape: str, request_id: str, now: float) -> Any:
    """The body of an error in the shape that the side `error_body` names."""
    if shape == "spec":
        shape = _declared(operation, refusal.status)
    match shape:
        case "validation":
            place = refusal.details.get("place", "body")
            loc = [place, *str(refusal.details.get("field", "")).split(".")]
            return {"detail": [{"loc": loc, "msg": refusal.message, "type": "value_error"}]}
        case "text":
            return {
                "error": refusal.code,
                "message": refusal.message,
                "details": refusal.details or None,
            }
        case "chat":
            return {
                "error": refusal.message,
                "error_code": refusal.code,
                "detail": None,
                "timestamp": stamp(now),
            }
        case "detail":
            return {"detail": refusal.message}
    told = {"code": refusal.code, "message": refusal.message, "details": refusal.details}
    return {"error": told, "request_id": request_id}


def _declared(operation: str, status: int) -> str:
    """The shape that the specification declares, or the vendor's documents where it declares none."""
    path = operation.partition(" ")[2]
    if status == 422:
        return "validation"
    if path.startswith("/user-files") and status in (400, 404, 500):
        return "text"
    if path.endswith("/recrawl") and status == 429:
        return "text"
    if path.startswith("/chat/") and status in (400, 404, 429, 500):
        return "chat"
    return "envelope"
