"""Answers of which the API only says that they are objects."""

from __future__ import annotations

from typing import Any, Final, cast

from aion_dagster.client.models.base import JsonMapping

REPLY: Final = cast("type[dict[str, Any]]", JsonMapping)
"""An object of any content; an answer without a body is an empty one."""
