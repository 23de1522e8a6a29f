"""Keys of the API."""

from __future__ import annotations

from pydantic import Field, SecretStr

from aion_dagster.client.models.base import JsonMapping, Model, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Text


class APIKey(Model):
    """What is known of a key; never the key itself."""

    id: str
    name: Text = ""
    description: str | None = None
    key_prefix: Text = ""
    created_at: UtcDatetime | None = None
    last_used_at: UtcDatetime | None = None
    expires_at: UtcDatetime | None = None
    is_active: bool = True
    scopes: Rows[str] = rows("scopes")
    metadata: JsonMapping = Field(default_factory=dict)
    usage_count: Count = 0


class CreatedAPIKey(APIKey):
    """A new key; `api_key.get_secret_value()` is the only time that it can be had."""

    api_key: SecretStr


class APIKeyList(Model):
    """Keys of the tenant."""

    api_keys: Rows[APIKey] = rows("api_keys", "items")
    total: Count = Field(default=0, validation_alias=either("total", "total_count"))
