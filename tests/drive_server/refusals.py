"""Google's error bodies."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        location: str = "",
        location_type: str = "parameter",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        entry: dict[str, Any] = {"message": message, "domain": domain, "reason": reason}
        if location:
            entry |= {"location": location, "locationType": location_type}
        self.body = {"error": {"code": status, "message": message, "errors": [entry]}}


class GrantRefusal(Exception):
    """A refusal of the token endpoint, which has a form of its own."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


def not_found(file_id: str) -> Refusal:
    return Refusal(404, "notFound", f"File not found: {file_id}.", location="fileId")


def invalid(parameter: str, message: str = "Invalid Value") -> Refusal:
    return Refusal(400, "invalid", message, location=parameter)


def limited(reason: str = "userRateLimitExceeded", status: int = 403, **headers: str) -> Refusal:
    words = {
        "userRateLimitExceeded": "User Rate Limit Exceeded",
        "rateLimitExceeded": "Rate Limit Exceeded",
        "dailyLimitExceeded": "Daily Limit Exceeded",
    }
    return Refusal(
        status,
        reason,
        words.get(reason, reason),
        domain="usageLimits",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def broken(status: int = 500) -> Refusal:
    return Refusal(status, "backendError" if status != 500 else "internalError", "Internal Error")


def unauthorized() -> Refusal:
    return Refusal(
        401,
        "authError",
        "Invalid Credentials",
        location="Authorization",
        location_type="header",
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
    )
