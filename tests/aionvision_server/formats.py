"""The formats that the specification names, checked to the letter."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from jsonschema import FormatChecker

FORMATS: Final = FormatChecker(formats=())

_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@FORMATS.checks("uuid", raises=ValueError)
def _uuid(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 36 and bool(uuid.UUID(value)))


@FORMATS.checks("date-time", raises=ValueError)
def _moment(value: object) -> bool:
    """RFC 3339, with a zone."""
    if not isinstance(value, str):
        return True
    return bool(_MOMENT.fullmatch(value)) and bool(datetime.fromisoformat(value.upper()))


@FORMATS.checks("uri", raises=ValueError)
def _uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc)


@FORMATS.checks("email")
def _email(value: object) -> bool:
    return not isinstance(value, str) or bool(_EMAIL.fullmatch(value))
