"""A request as handlers see it, and what they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .books import Entry
from .clock import seconds_of
from .faults import Fault
from .multipart import Upload


class Gone(Exception):
    """The client went away before its request was complete: nothing is done, nobody is answered."""


class Refusal(Exception):
    """A request that is answered with an error.

    `code` and `message` take the shape that the operation and the chosen side give to errors.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def not_found(what: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"{what} not found")


def invalid(field_name: str, reason: str) -> Refusal:
    """A field that is not what it should be, found by a handler."""
    return Refusal(422, "VALIDATION_ERROR", reason, details={"field": field_name})


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: JSON, bytes, or events as they come."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    media_type: str = "application/json"
    events: AsyncIterator[bytes] | None = None


@dataclass(slots=True)
class Asked:
    """A request that was read whole."""

    operation: str
    entry: Entry
    ids: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: Any = None
    fields: Sequence[tuple[str, str]] = ()
    uploads: Sequence[Upload] = ()
    key: str = ""
    stuck: bool = False
    """What this request sets in motion never ends."""
    failing: list[Fault] = field(default_factory=list)
    """How what this request sets in motion fails."""
    rejecting: list[Fault] = field(default_factory=list)
    """Which of its files are not taken."""
    expiring: bool = False
    """The session that this request opens is gone when it is asked for."""

    def text(self, name: str, default: str | None = None) -> str | None:
        """A parameter of the query; an empty one counts as missing."""
        return next((v for k, v in self.query if k == name and v), default)

    def texts(self, name: str) -> list[str]:
        return [v for k, v in self.query if k == name]

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        try:
            return default if value is None else int(value)
        except ValueError:
            raise invalid(name, f"{name}: {value!r} is no whole number") from None

    def fraction(self, name: str) -> float | None:
        value = self.text(name)
        try:
            return None if value is None else float(value)
        except ValueError:
            raise invalid(name, f"{name}: {value!r} is no number") from None

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        return _flag(self.text(name), default)

    def moment(self, name: str) -> float | None:
        value = self.text(name)
        try:
            return None if value is None else seconds_of(value)
        except ValueError:
            raise invalid(name, f"{name}: {value!r} is no time") from None

    def page(self, limit: int = 20, most: int = 100) -> tuple[int, int]:
        """Offset and limit of a list."""
        size, offset = self.number("limit", limit), self.number("offset", 0)
        if not 1 <= size <= most:
            raise invalid("limit", f"limit: must be between 1 and {most}")
        if offset < 0:
            raise invalid("offset", "offset: must not be negative")
        return offset, size

    def given(self, name: str, default: Any = None) -> Any:
        """A field of the JSON body; null counts as missing."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return default if value is None else value

    def field(self, name: str, default: str | None = None) -> str | None:
        """A field of the form; an empty one counts as missing."""
        return next((v for k, v in self.fields if k == name and v), default)

    def field_flag(self, name: str, default: bool) -> bool:
        return bool(_flag(self.field(name), default))


def _flag(value: str | None, default: bool | None) -> bool | None:
    return default if value is None else value.lower() in ("true", "1", "yes", "on")
