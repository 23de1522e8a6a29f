"""A tenant: settings, limits, members."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from aion_dagster.client.models.base import JsonMapping, Model, OpenEnum, Rows, UtcDatetime, rows
from aion_dagster.client.models.nulls import Count, Flag, Text


class MemberRole(OpenEnum):
    """What a member may do; the owner's role is not given by others."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class TenantSettings(Model):
    """A tenant, its plan, and what it used."""

    id: str
    name: Text = ""
    owner_user_id: str | None = None
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None
    is_active: bool = True
    webhook_url: str | None = None
    allowed_vlm_providers: Rows[str] = rows("allowed_vlm_providers")
    allowed_domains: Rows[str] = rows("allowed_domains")
    max_monthly_credits: Count = 0
    max_requests_per_minute: Count = 0
    custom_config: JsonMapping = Field(default_factory=dict)
    subscription_tier: Text = ""
    subscription_expires_at: UtcDatetime | None = None
    current_month_credits: Count = 0
    current_month_cost: float = 0.0
    total_credits: Count = 0
    total_cost: float = 0.0
    # Overage was replaced by prepaid credits; servers still send it.
    supports_overage: Flag = False
    included_credits: Count = 0
    overage_credits_used: Count = 0
    max_overage_credits: Count = 0
    overage_cost: float = 0.0


def _none(value: Any) -> Any:
    return {} if value is None else value


LimitsByName = Annotated[dict[str, int | None], BeforeValidator(_none)]
"""By the name of what is limited; None: not limited."""


class TenantLimits(Model):
    """What a tenant may use, has used, and has left."""

    limits: LimitsByName = Field(default_factory=dict)
    usage: LimitsByName = Field(default_factory=dict)
    remaining: LimitsByName = Field(default_factory=dict)
    subscription_tier: Text = "free"


class TenantMember(Model):
    """Somebody who has access."""

    id: str
    email: Text = ""
    name: Text = ""
    role: MemberRole = MemberRole.VIEWER
    joined_at: UtcDatetime | None = None
    last_active_at: UtcDatetime | None = None
