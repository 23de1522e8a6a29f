"""The user behind a key."""

from __future__ import annotations

from pydantic import Field

from aion_dagster.client.models.base import JsonMapping, Model, UtcDatetime
from aion_dagster.client.models.nulls import Flag, Text


class UserProfile(Model):
    """A user; `preferences` hold timezone, theme, language and more."""

    id: str
    email: Text = ""
    name: Text = ""
    is_active: bool = True
    email_verified: Flag = False
    created_at: UtcDatetime | None = None
    last_login_at: UtcDatetime | None = None
    preferences: JsonMapping = Field(default_factory=dict)
