"""Settings, tenant, audit, keys, user and usage through the client."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from loopback_api import LoopbackApi, Reply, blocking_client, loopback_api
from pydantic import SecretStr

from aion_dagster.client import SyncAionVision, errors
from aion_dagster.client.models.tenant import MemberRole
from aion_dagster.client.resources.api_keys import APIKeysResource, SyncAPIKeysResource
from aion_dagster.client.resources.audit import AuditResource, SyncAuditResource
from aion_dagster.client.resources.settings import SettingsResource, SyncSettingsResource
from aion_dagster.client.resources.tenant import SyncTenantResource, TenantResource
from aion_dagster.client.resources.usage import SyncUsageResource, UsageResource
from aion_dagster.client.resources.user import SyncUserResource, UserResource

ACCESS = "ACCESS-KEY-ID-123456"
SECRET = 'a/secret+key"with\\signs/1234567890'
NEW_KEY = "aion_brandnew0123456789abcdef"
BUSY = Reply({"error": "busy"}, 503)
LOST = Reply(b"", promised=100)


@pytest.fixture
def server() -> Iterator[LoopbackApi]:
    with loopback_api() as running:
        yield running


@pytest.fixture
def client(server: LoopbackApi) -> Iterator[SyncAionVision]:
    with blocking_client(server) as made:
        yield made


@pytest.fixture
def settings(client: SyncAionVision) -> SyncSettingsResource:
    return SyncSettingsResource(SettingsResource(client.transport))


@pytest.fixture
def tenant(client: SyncAionVision) -> SyncTenantResource:
    return SyncTenantResource(TenantResource(client.transport))


@pytest.fixture
def audit(client: SyncAionVision) -> SyncAuditResource:
    return SyncAuditResource(AuditResource(client.transport))


@pytest.fixture
def keys(client: SyncAionVision) -> SyncAPIKeysResource:
    return SyncAPIKeysResource(APIKeysResource(client.transport))


@pytest.fixture
def user(client: SyncAionVision) -> SyncUserResource:
    return SyncUserResource(UserResource(client.transport))


@pytest.fixture
def usage(client: SyncAionVision) -> SyncUsageResource:
    return SyncUsageResource(UsageResource(client.transport))


def everything_said(error: errors.AionvisionError) -> str:
    return f"{error} {error!r} {error.args} {error.code} {error.details} {error.request_id}"


# A bucket of one's own.


@pytest.mark.parametrize("wrap", [str, SecretStr])
def test_a_bucket_is_configured(
    server: LoopbackApi, settings: SyncSettingsResource, wrap: Callable[[str], Any]
) -> None:
    server.on(
        "POST /tenant/s3-config",
        {"configured": True, "bucket_name": "b", "region": "us-east-1", "is_validated": None},
    )
    status = settings.configure_custom_s3(wrap(ACCESS), wrap(SECRET), "my-bucket", "us-east-1")
    assert status.configured
    assert server.requests[-1].json == {
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
        "bucket_name": "my-bucket",
        "region": "us-east-1",
    }


@pytest.mark.parametrize(
    "reply",
    [
        Reply(
            {
                "detail": [
                    {"loc": ["body"], "msg": f"bad {SECRET}", "input": {"k": [SECRET, ACCESS]}}
                ]
            },
            422,
        ),
        Reply({"error": {"code": SECRET, "message": ACCESS, "details": {SECRET: 1}}}, 400),
        Reply(f"<html>{'x' * 280}{SECRET}{ACCESS}</html>".encode(), 500),
        Reply({"error": "no"}, 403, {"X-Request-Id": SECRET}),
    ],
)
def test_credentials_that_a_server_sends_back_are_in_no_error(
    server: LoopbackApi, settings: SyncSettingsResource, reply: Reply
) -> None:
    server.on("POST /tenant/s3-config", reply)
    with pytest.raises(errors.AionvisionError) as caught:
        settings.configure_custom_s3(ACCESS, SECRET, "my-bucket", "us-east-1")
    said = everything_said(caught.value)
    assert ACCESS not in said
    assert SECRET not in said
    assert SECRET[:12] not in said
    assert caught.value.status == reply.status


def test_credentials_that_are_too_short_are_not_shown_either(
    server: LoopbackApi, settings: SyncSettingsResource
) -> None:
    for arguments, field in [
        (("short", SECRET, "bucket", "r"), "access_key_id"),
        ((ACCESS, "secret", "bucket", "r"), "secret_access_key"),
        ((ACCESS, SECRET, "ab", "r"), "bucket_name"),
        ((ACCESS, SECRET, "abc", ""), "region"),
    ]:
        with pytest.raises(errors.ValidationError) as caught:
            settings.configure_custom_s3(*arguments)
        assert caught.value.details == {"field": field}
        assert "short" not in str(caught.value)
    assert server.requests == []


def test_a_bucket_is_looked_at_tried_and_removed(
    server: LoopbackApi, settings: SyncSettingsResource
) -> None:
    server.on("GET /tenant/s3-config", {"configured": False})
    assert not settings.get_custom_s3_status().configured
    server.on("POST /tenant/s3-config/validate", {"valid": False, "error": "no such bucket"})
    assert settings.validate_custom_s3().error == "no such bucket"
    server.on("DELETE /tenant/s3-config", {"removed": True, "message": "removed"})
    assert settings.remove_custom_s3()["removed"]


# The tenant.


def test_settings_of_a_tenant(server: LoopbackApi, tenant: SyncTenantResource) -> None:
    answer = {
        "id": "t1",
        "name": "Acme",
        "owner_user_id": None,
        "created_at": "2025-01-01T00:00:00",
        "updated_at": "2025-06-15T08:22:00Z",
        "is_active": True,
        "allowed_vlm_providers": ["openai"],
        "allowed_domains": None,
        "custom_config": None,
        "subscription_tier": "professional",
        "current_month_cost": 45,
        "something_new": 1,
    }
    server.on("GET /tenant/settings", answer)
    server.on("PATCH /tenant/settings", answer | {"name": "Acme Corporation"})
    found = tenant.get_settings()
    assert found.created_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert (found.allowed_domains, found.custom_config) == ([], {})
    assert found.model_extra == {"something_new": 1}
    changed = tenant.update_settings(name="Acme Corporation", allowed_domains=[])
    assert changed.name == "Acme Corporation"
    assert server.requests[-1].json == {"name": "Acme Corporation", "allowed_domains": []}
    server.on("GET /tenant/limits", {"limits": {"monthly": None}, "usage": {"monthly": 250}})
    limits = tenant.get_limits()
    assert (limits.limits, limits.usage, limits.remaining) == (
        {"monthly": None},
        {"monthly": 250},
        {},
    )


def test_members_of_a_tenant(server: LoopbackApi, tenant: SyncTenantResource) -> None:
    member = {"id": "u1", "email": "a@example.com", "name": "A", "role": "owner"}
    server.on("GET /tenant/members", Reply([member, member | {"role": "guest"}]))
    owner, guest = tenant.list_members()
    assert owner.role is MemberRole.OWNER
    assert guest.role == "guest"
    server.on("POST /tenant/members/invite", [BUSY, member])
    with pytest.raises(errors.ServerError):
        tenant.invite_member("b@example.com")
    assert tenant.invite_member("b@example.com", role="editor").id == "u1"
    assert server.requests[-1].json == {"email": "b@example.com", "role": "editor"}
    server.on("PATCH /tenant/members/u1/role", member | {"role": "admin"})
    assert tenant.update_member_role("u1", "admin").role is MemberRole.ADMIN
    server.on("DELETE /tenant/members/u1", {"detail": "Member removed successfully"})
    assert tenant.remove_member("u1") == {"detail": "Member removed successfully"}


def test_events_are_listed_by_conditions(server: LoopbackApi, audit: SyncAuditResource) -> None:
    entry = {
        "id": "l1",
        "event_type": "api_key.created",
        "event_timestamp": "2025-06-10T14:22:00",
        "severity": "notice",
        "action": "create",
        "result": "denied",
        "metadata": {"key_name": "x"},
    }
    server.on("GET /tenant/audit-logs", {"entries": [entry], "total_count": 142})
    page = audit.list(date_from=date(2025, 6, 1), date_to="2025-06-30T12:00:00", severity="info")
    assert page.has_more
    assert server.requests[-1].query == {
        "date_from": ["2025-06-01T00:00:00Z"],
        "date_to": ["2025-06-30T12:00:00Z"],
        "severity": ["info"],
        "limit": ["50"],
        "offset": ["0"],
    }
    [found] = page.entries
    assert (found.severity, found.result) == ("notice", "denied")
    assert found.event_timestamp == datetime(2025, 6, 10, 14, 22, tzinfo=UTC)
    server.on("GET /tenant/audit-logs", [{"entries": [entry, entry]}, {"entries": []}])
    assert len(list(audit.list_all(result="denied", page_size=2))) == 2
    server.on("GET /tenant/audit-logs/l1", entry)
    assert audit.get("l1").metadata == {"key_name": "x"}


# Keys.


def created(**more: Any) -> dict[str, Any]:
    return {
        "id": "k1",
        "name": "CI",
        "key_prefix": "aion_bran",
        "created_at": "2025-01-15T10:30:00Z",
        "is_active": True,
        "scopes": ["read"],
        "metadata": {},
    } | more


def test_a_new_key_is_told_once_and_shows_nowhere_else(
    server: LoopbackApi, keys: SyncAPIKeysResource
) -> None:
    server.on("POST /api-keys", Reply(created(api_key=NEW_KEY), 201))
    key = keys.create("CI", scopes=["read"], expires_at=datetime(2026, 7, 1))
    assert server.requests[-1].json == {
        "name": "CI",
        "scopes": ["read"],
        "expires_at": "2026-07-01T00:00:00Z",
    }
    assert key.api_key.get_secret_value() == NEW_KEY
    for shown in (repr(key), str(key), repr(key.model_dump()), key.model_dump_json()):
        assert NEW_KEY not in shown
    assert pickle.loads(pickle.dumps(key)) == key


@pytest.mark.parametrize("failure", [BUSY, LOST])
def test_a_key_is_not_made_twice(
    server: LoopbackApi, keys: SyncAPIKeysResource, failure: Reply
) -> None:
    server.on("POST /api-keys", [failure, created(api_key=NEW_KEY)])
    with pytest.raises(errors.AionvisionError):
        keys.create("CI")
    assert len(server.asked("POST /api-keys")) == 1


def test_an_answer_that_cannot_be_read_does_not_show_the_key(
    server: LoopbackApi, keys: SyncAPIKeysResource
) -> None:
    server.on("POST /api-keys", created(id=None, api_key=NEW_KEY, scopes=NEW_KEY))
    with pytest.raises(errors.InvalidResponseError) as caught:
        keys.create("CI")
    assert NEW_KEY not in everything_said(caught.value)


def test_keys_are_listed_changed_and_revoked(
    server: LoopbackApi, keys: SyncAPIKeysResource
) -> None:
    server.on("GET /api-keys", {"api_keys": [created(usage_count=142)], "total": 1})
    listed = keys.list(include_inactive=True, limit=5)
    assert server.requests[-1].query == {"include_inactive": ["true"], "limit": ["5"]}
    assert (listed.total, listed.api_keys[0].usage_count) == (1, 142)
    server.on("GET /api-keys/k1", created())
    assert keys.get("k1").key_prefix == "aion_bran"
    server.on("PUT /api-keys/k1", created(name="New"))
    assert keys.update("k1", name="New", metadata={"a": 1}).name == "New"
    assert server.requests[-1].json == {"name": "New", "metadata": {"a": 1}}
    server.on("DELETE /api-keys/k1", Reply(status=204))
    keys.revoke("k1", reason="lost")
    assert server.requests[-1].query == {"reason": ["lost"]}


def test_who_one_is(server: LoopbackApi, user: SyncUserResource) -> None:
    profile = {
        "id": "u1",
        "email": "a@example.com",
        "name": "A",
        "is_active": True,
        "email_verified": None,
        "created_at": "2025-01-01T00:00:00Z",
        "preferences": None,
    }
    server.on("GET /user/profile", profile)
    assert user.get_profile().preferences == {}
    server.on("PATCH /user/profile", profile | {"preferences": {"theme": "dark"}})
    assert user.update_profile(preferences={"theme": "dark"}).preferences == {"theme": "dark"}
    assert server.requests[-1].json == {"preferences": {"theme": "dark"}}


# Usage.


def test_whether_the_credits_suffice(server: LoopbackApi, usage: SyncUsageResource) -> None:
    server.on(
        "POST /usage/check",
        {"can_proceed": False, "required_credits": 2, "available_credits": 1, "reset_date": "2025"},
    )
    check = usage.check(item_count=2)
    assert not check.can_proceed
    assert server.requests[-1].json == {"item_count": 2}
    server.on("GET /usage/breakdown", {"total_credits_used": 4200, "usage_percentage": 4.2})
    assert usage.breakdown().total_credits_used == 4200


def test_what_was_used_over_a_time(server: LoopbackApi, usage: SyncUsageResource) -> None:
    server.on(
        "GET /usage/summary",
        {
            "period": {"start": "2025-01-01T00:00:00", "end": "2025-01-31T23:59:59Z"},
            "usage": {"describe_count": 3500, "total_requests": 3665},
            "limits": {"monthly_limit": None},
            "total_credits": 4200,
        },
    )
    summary = usage.summary(start_date=date(2025, 1, 1), api_key_id="k1")
    assert server.requests[-1].query == {
        "start_date": ["2025-01-01T00:00:00Z"],
        "api_key_id": ["k1"],
    }
    assert summary.usage is not None
    assert (summary.usage.describe_count, summary.total_credits) == (3500, 4200)
    point = {"timestamp": "2025-01-01T00:00:00Z", "value": 125, "label": "2025-01-01"}
    for answer in ({"period_type": "day", "data": [point]}, [point]):
        server.on("GET /usage/by-period", Reply(answer))
        assert usage.by_period(period_type="day").data[0].value == 125
    server.on("GET /usage/plan", {"plan_details": {"plan_name": "Professional"}})
    assert usage.plan().plan_details["plan_name"] == "Professional"
    for answer in ({"endpoints": [{"path": "/x"}]}, [{"path": "/x"}]):
        server.on("GET /usage/top-endpoints", Reply(answer))
        assert usage.top_endpoints(limit=1).endpoints == [{"path": "/x"}]


def test_every_request_is_iterated_page_by_page(
    server: LoopbackApi, usage: SyncUsageResource
) -> None:
    server.on(
        "GET /usage/details",
        [
            {"events": [{"id": "a"}, {"id": "b"}], "pagination": {"page": 1, "total_pages": 9}},
            {"events": [{"id": "b"}, {"id": "c", "response_time_ms": 1.5}]},
            {"events": []},
        ],
    )
    assert [event.id for event in usage.iter_details(page_size=2)] == ["a", "b", "c"]
    assert [asked.query["page"] for asked in server.requests] == [["1"], ["2"], ["3"]]
    # Else the requests that read the list would be events of it, on and on.
    (ends,) = {asked.query["end_date"][0] for asked in server.requests}
    assert datetime.now(UTC) - datetime.fromisoformat(ends) < timedelta(hours=1)


def test_tokens_by_month_file_and_chat(server: LoopbackApi, usage: SyncUsageResource) -> None:
    server.on("GET /usage/tokens/monthly", {"year": 2025, "month": 1, "total_tokens": 311500})
    assert usage.monthly_tokens(year=2025, month=1).total_tokens == 311500
    file = {"image_id": "a", "filename": None, "total_tokens": 1650, "created_at": "2025-01-15"}
    server.on("GET /usage/tokens/files", [{"files": [file], "total_count": 1}, {"files": []}])
    [item] = usage.iter_file_tokens(page_size=1)
    assert item.created_at == datetime(2025, 1, 15, tzinfo=UTC)
    chat = {"session_id": "s", "title": "Poles", "total_tokens": 8300, "message_count": 12}
    server.on("GET /usage/tokens/conversations", [{"conversations": [chat]}, {"conversations": []}])
    assert [item.message_count for item in usage.iter_conversation_tokens()] == [12]
    server.on(
        "GET /usage/dashboard-analytics",
        {"period": "week", "daily_activity": [{"date": "2025-01-15", "files_uploaded": 3}]},
    )
    assert usage.dashboard_analytics(period="week").daily_activity[0].files_uploaded == 3


def test_what_the_api_would_refuse_is_not_sent(
    server: LoopbackApi,
    tenant: SyncTenantResource,
    audit: SyncAuditResource,
    keys: SyncAPIKeysResource,
    user: SyncUserResource,
    usage: SyncUsageResource,
) -> None:
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("name", lambda: tenant.update_settings(name="")),
        ("webhook_url", lambda: tenant.update_settings(webhook_url="x" * 2084)),
        ("allowed_domains", lambda: tenant.update_settings(allowed_domains="x.example")),
        ("role", lambda: tenant.invite_member("a@example.com", role="owner")),
        ("email", lambda: tenant.invite_member("nobody")),
        ("role", lambda: tenant.update_member_role("u1", "owner")),
        ("limit", lambda: audit.list(limit=101)),
        ("date_from", lambda: audit.list(date_from="yesterday")),
        ("name", lambda: keys.create("")),
        ("description", lambda: keys.create("x", description="x" * 501)),
        ("scopes", lambda: keys.create("x", scopes="read")),
        ("name", lambda: keys.update("k1", name="x" * 256)),
        ("name", lambda: user.update_profile(name="")),
        ("month", lambda: usage.monthly_tokens(month=13)),
        ("limit", lambda: usage.top_endpoints(limit=51)),
        ("page_size", lambda: usage.details(page_size=101)),
        ("period", lambda: usage.dashboard_analytics(period="day")),
        ("limit", lambda: usage.file_tokens(limit=0)),
        ("offset", lambda: usage.conversation_tokens(offset=-1)),
    ]
    for field, call in refused:
        with pytest.raises(errors.ValidationError) as caught:
            call()
        assert caught.value.details["field"] == field
    assert server.requests == []
