"""Usage, the tenant, its keys, the person behind the key."""

from __future__ import annotations

from typing import Final

from .case import Case, after, given
from .made import Made

_USED: Final = "GET /usage/details"
_BUCKET: Final = ("AKIAIOSFODNN7EXAMPLE", "s" * 40, "my-bucket", "eu-west-1")
_DAYS: Final = {"start_date": "2024-01-01", "end_date": "2024-02-01"}


def _chat(made: Made) -> None:
    made.client.chats.send("poles", session_id=made.chat())


def _logged(made: Made) -> str:
    made.member()
    return made.client.audit.list().entries[0].id


CASES: Final = (
    Case("POST /usage/check", "usage.check", lambda m: given(3)),
    Case(
        "GET /usage/summary",
        "usage.summary",
        lambda m: given(**_DAYS, period="month", api_key_id=m.key()),
    ),
    Case(
        _USED,
        "usage.details",
        lambda m: given(
            **_DAYS, api_key_id=m.key(), operation_type="describe", page=1, page_size=5
        ),
    ),
    Case(_USED, "usage.iter_details", lambda m: after(m.image(), page_size=1)),
    Case(
        "GET /usage/by-period",
        "usage.by_period",
        lambda m: given(**_DAYS, period_type="week", api_key_id=m.key()),
    ),
    Case(
        "GET /usage/plan", "usage.plan", lambda m: given(period="month", include_projections=False)
    ),
    Case("GET /usage/top-endpoints", "usage.top_endpoints", lambda m: given(limit=3, **_DAYS)),
    Case("GET /usage/breakdown", "usage.breakdown", lambda m: after(m.image())),
    Case("GET /usage/tokens/monthly", "usage.monthly_tokens", lambda m: given(year=2024, month=3)),
    Case(
        "GET /usage/tokens/files",
        "usage.file_tokens",
        lambda m: after(m.image(), limit=5, offset=0),
    ),
    Case(
        "GET /usage/tokens/files",
        "usage.iter_file_tokens",
        lambda m: after(m.image(), page_size=1),
    ),
    Case(
        "GET /usage/tokens/conversations",
        "usage.conversation_tokens",
        lambda m: after(_chat(m), limit=5, offset=0),
    ),
    Case(
        "GET /usage/tokens/conversations",
        "usage.iter_conversation_tokens",
        lambda m: after(_chat(m), page_size=1),
    ),
    Case(
        "GET /usage/dashboard-analytics",
        "usage.dashboard_analytics",
        lambda m: after(m.image(), period="week"),
    ),
    Case("GET /user/profile", "user.get_profile"),
    Case(
        "PATCH /user/profile",
        "user.update_profile",
        lambda m: given(name="Somebody", preferences={"theme": "dark"}),
    ),
    Case("GET /tenant/settings", "tenant.get_settings"),
    Case(
        "PATCH /tenant/settings",
        "tenant.update_settings",
        lambda m: given(
            name="Tenant",
            webhook_url="https://example.org/hook",
            allowed_vlm_providers=["provider_a"],
            allowed_domains=["example.org"],
            custom_config={"a": 1},
        ),
    ),
    Case("GET /tenant/limits", "tenant.get_limits"),
    Case("GET /tenant/members", "tenant.list_members"),
    Case(
        "POST /tenant/members/invite",
        "tenant.invite_member",
        lambda m: given("someone@example.com", role="editor"),
    ),
    Case(
        "PATCH /tenant/members/{user_id}/role",
        "tenant.update_member_role",
        lambda m: given(m.member(), "admin"),
    ),
    Case("DELETE /tenant/members/{user_id}", "tenant.remove_member", lambda m: given(m.member())),
    Case("GET /tenant/s3-config", "settings.get_custom_s3_status"),
    Case(
        "POST /tenant/s3-config",
        "settings.configure_custom_s3",
        lambda m: given(*_BUCKET),
    ),
    Case(
        "DELETE /tenant/s3-config",
        "settings.remove_custom_s3",
        lambda m: after(m.client.settings.configure_custom_s3(*_BUCKET)),
    ),
    Case(
        "POST /tenant/s3-config/validate",
        "settings.validate_custom_s3",
        lambda m: after(m.client.settings.configure_custom_s3(*_BUCKET)),
    ),
    Case(
        "GET /tenant/audit-logs",
        "audit.list",
        lambda m: given(
            event_type="member.invited",
            severity="info",
            user_id="3f1c9a52-7d0e-4c55-9c1e-7a1f00000002",
            date_from="2000-01-01",
            date_to="2100-01-01",
            result="success",
            limit=5,
            offset=0,
        ),
    ),
    Case(
        "GET /tenant/audit-logs",
        "audit.list_all",
        lambda m: after(m.member(), page_size=1),
    ),
    Case("GET /tenant/audit-logs/{log_id}", "audit.get", lambda m: given(_logged(m))),
    Case(
        "POST /api-keys",
        "api_keys.create",
        lambda m: given(
            "a key",
            description="for tests",
            scopes=["read"],
            metadata={"a": 1},
            expires_at="2100-01-01",
        ),
    ),
    Case(
        "GET /api-keys",
        "api_keys.list",
        lambda m: after(m.key(), include_inactive=True, limit=5, offset=0),
    ),
    Case("GET /api-keys/{api_key_id}", "api_keys.get", lambda m: given(m.key())),
    Case(
        "PUT /api-keys/{api_key_id}",
        "api_keys.update",
        lambda m: given(m.key(), name="b", description="d", metadata={"b": 2}),
    ),
    Case(
        "DELETE /api-keys/{api_key_id}",
        "api_keys.revoke",
        lambda m: given(m.key(), reason="old"),
    ),
)
