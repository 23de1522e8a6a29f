"""Custom storage of a tenant; its credentials are never in an answer."""

from __future__ import annotations

from aion_dagster.client.models.base import Model
from aion_dagster.client.models.nulls import Flag


class S3ConfigStatus(Model):
    """Whether uploads can go to a bucket of one's own."""

    configured: Flag = False
    bucket_name: str | None = None
    region: str | None = None
    configured_at: str | None = None
    is_validated: bool | None = None
    error: str | None = None


class S3ValidationResult(Model):
    """Whether the stored credentials still open the bucket."""

    valid: Flag = False
    bucket_name: str | None = None
    region: str | None = None
    error: str | None = None
