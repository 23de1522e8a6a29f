"""A request to the API as a value: what is asked, and what asking again would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final
from urllib.parse import quote

from aion_dagster.client.errors import ValidationError
from aion_dagster.client.retrying import Repeat

NULL: Final = object()
"""In a body: send `null`. None means: leave the field out."""

Part = tuple[str, tuple[str, IO[bytes] | bytes, str]]
"""A file of a multipart form: field, (name, open file or bytes, media type)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as often as it takes.

    Args:
        operation: method and path template below the base URL: `"GET /folders/{folder_id}"`.
        ids: what the template's placeholders stand for; quoted.
        query: parameters; None is left out, lists are sent as several unless joined by the caller.
        body: sent as JSON; None is left out, `NULL` sends null.
        form: fields of a form; None is left out.
        parts: opens the files of a multipart form anew for every try.
        repeat: what a repetition can do.
        own_limit: a 429 speaks of the thing that is asked for, not of the key: nobody else is held up by it, and it is
            not tried again.
        timeout: seconds; None for the client's.
    """

    operation: str
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    form: Mapping[str, Any] | None = None
    parts: Callable[[], Sequence[Part]] | None = None
    repeat: Repeat = Repeat.SAFE
    own_limit: bool = False
    timeout: float | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.operation.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path below the base URL, ids quoted.

        Raises:
            ValidationError: an id is empty, or would lead to another path.
        """
        path = self.operation.partition(" ")[2]
        if not self.ids:
            return path
        for name, value in self.ids.items():
            if not isinstance(value, str) or not value or value in (".", ".."):
                raise ValidationError(
                    f"{name}: {value!r} is no identifier", details={"field": name}
                )
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return path


def sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that are given; `NULL` as null."""
    return {k: None if v is NULL else v for k, v in body.items() if v is not None}


def plain(value: Any) -> Any:
    """As query strings and forms want it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.value if hasattr(value, "value") else value
