"""Identifiers as bodies want them."""

from __future__ import annotations

from collections.abc import Sequence

from aion_dagster.client import limits


def some_ids(
    field: str, ids: Sequence[str], least: int = 1, most: float = float("inf")
) -> list[str]:
    """`least` to `most` identifiers, in their order, each once.

    Raises:
        ValidationError: fewer or more, an empty one, or a single string.
    """
    if isinstance(ids, str):
        raise limits.refuse(field, "a list of identifiers is expected, not one string")
    if not all(isinstance(each, str) and each for each in ids):
        raise limits.refuse(field, "an identifier is empty or no text")
    distinct = list(dict.fromkeys(ids))
    if not least <= len(distinct) <= most:
        allowed = f"{least} to {most:g}" if most < float("inf") else f"{least} or more"
        raise limits.refuse(field, f"{len(distinct)} identifiers, {allowed} are allowed")
    return distinct


def maybe_ids(
    field: str, ids: Sequence[str] | None, most: float = float("inf")
) -> list[str] | None:
    """The same where there is a list; one that is empty is refused, since the API takes it for no list.

    Raises:
        ValidationError: see `some_ids`.
    """
    return None if ids is None else some_ids(field, ids, 1, most)
