"""Limits that the API states, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aion_dagster.client.errors import ValidationError

TITLE: Final = 255
TAGS: Final = 40
TAG: Final = 50
LINK_URL: Final = 2048
LINK_TITLE: Final = 500
LISTED_IDS: Final = 500
PAGE: Final = 100
DELETED_IDS: Final = 100
HASHES: Final = 250
SESSION_PAGE: Final = 500
STREAMED_BYTES: Final = 100 * 1024 * 1024
PRESIGNED_BYTES: Final = 50 * 1024 * 1024
DOCUMENT_BYTES: Final = 50 * 1024 * 1024
INTENT: Final = 2000
STEPS: Final = 10
WEBHOOK: Final = 2083
STORAGE_TARGETS: Final = ("default", "custom")


def refuse(field: str, reason: str) -> ValidationError:
    """The error of a field that the server would refuse."""
    return ValidationError(f"{field}: {reason}", code="INVALID_ARGUMENT", details={"field": field})


def check_text(field: str, text: str | None, most: int, least: int = 0) -> None:
    """A text of `least` to `most` characters, where there is one.

    Raises:
        ValidationError: it is shorter or longer.
    """
    if text is not None and not least <= len(text) <= most:
        raise refuse(field, f"{len(text)} characters, {least} to {most} are allowed")


def check_title(title: str | None) -> None:
    """A title, where there is one.

    Raises:
        ValidationError: it is too long.
    """
    check_text("title", title, TITLE)


def check_tags(tags: Sequence[str] | None) -> None:
    """Tags, where there are any.

    Raises:
        ValidationError: too many, or one too long, or a single string.
    """
    if isinstance(tags, str):
        raise refuse("tags", "a list of tags is expected, not one string")
    if tags is None:
        return
    if len(tags) > TAGS:
        raise refuse("tags", f"{len(tags)} tags, {TAGS} are allowed")
    for tag in tags:
        check_text("tags", tag, TAG, 1)


def check_number(field: str, value: float | None, least: float, most: float) -> None:
    """A number from `least` to `most`, where there is one.

    Raises:
        ValidationError: it is outside.
    """
    if value is not None and not least <= value <= most:
        raise refuse(field, f"{value} is not from {least:g} to {most:g}")


def check_count(field: str, items: Sequence[object], least: int, most: int) -> None:
    """So many items.

    Raises:
        ValidationError: fewer or more.
    """
    if not least <= len(items) <= most:
        raise refuse(field, f"{len(items)} items, {least} to {most} are allowed")


def check_word(field: str, word: str | None, words: Sequence[str]) -> None:
    """One of these words, where there is one.

    Raises:
        ValidationError: it is none of them.
    """
    if word is not None and word not in words:
        raise refuse(field, f"{word!r} is none of {', '.join(words)}")


def check_link(url: str) -> None:
    """A URL that can be bookmarked.

    Raises:
        ValidationError: it is not http or https, or too long.
    """
    check_text("url", url, LINK_URL, 1)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise refuse("url", str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refuse("url", "must begin with http:// or https://")


def joined_tags(tags: Sequence[str] | None) -> str | None:
    """Tags as a form's field wants them: joined by commas.

    Raises:
        ValidationError: a tag holds a comma, or see `check_tags`.
    """
    check_tags(tags)
    for tag in tags or ():
        if "," in tag:
            raise refuse("tags", f"{tag!r} holds a comma, which separates tags")
    return ",".join(tags) if tags else None
