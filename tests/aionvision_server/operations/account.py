"""The user, the tenant and its members, storage of one's own, API keys, the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..clock import seconds_of, stamp
from ..exchange import Answer, Asked, Refusal, invalid, not_found
from ..plans import NO_LIMIT
from ..registry import answers
from ..world import TENANT, USER, Key, World
from .library import Library
from .usage import credits_used

_BEGAN: Final = 1_735_689_600.0
"""When the account was made."""


@dataclass
class Account:
    """What can be set of user and tenant."""

    user_name: str = "Test Person"
    preferences: dict[str, Any] = field(default_factory=dict)
    tenant: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "Test Tenant",
            "webhook_url": None,
            "allowed_vlm_providers": ["google", "openai"],
            "allowed_domains": [],
            "custom_config": {},
        }
    )
    members: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {USER: _member(USER, "owner@example.com", "owner")}
    )
    s3: dict[str, Any] | None = None
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: list[dict[str, Any]] = field(default_factory=list)


def _member(user_id: str, email: str, role: str) -> dict[str, Any]:
    return {
        "id": user_id,
        "email": email,
        "name": email.partition("@")[0].title(),
        "role": role,
        "joined_at": stamp(_BEGAN),
        "last_active_at": None,
    }


def _audited(world: World, event: str, action: str, kind: str, resource_id: str | None) -> None:
    world.room(Account).audit.append(
        {
            "id": world.new_id("audit"),
            "event_type": event,
            "event_timestamp": stamp(world.now()),
            "severity": "info",
            "user_id": USER,
            "api_key_id": None,
            "action": action,
            "result": "success",
            "ip_address": "127.0.0.1",
            "resource_type": kind,
            "resource_id": resource_id,
            "error_message": None,
            "metadata": {},
        }
    )


@answers("GET /user/profile")
def profile(world: World, _asked: Asked) -> Answer:
    account = world.room(Account)
    return Answer(
        {
            "id": USER,
            "email": "owner@example.com",
            "name": account.user_name,
            "is_active": True,
            "email_verified": True,
            "created_at": stamp(_BEGAN),
            "last_login_at": stamp(world.now()),
            "preferences": account.preferences,
        }
    )


@answers("PATCH /user/profile")
def update_profile(world: World, asked: Asked) -> Answer:
    account = world.room(Account)
    account.user_name = asked.given("name", account.user_name)
    account.preferences = account.preferences | asked.given("preferences", {})
    return profile(world, asked)


@answers("GET /tenant/settings")
def tenant(world: World, _asked: Asked) -> Answer:
    account, used = world.room(Account), credits_used(world)
    return Answer(
        {
            "id": TENANT,
            **account.tenant,
            "owner_user_id": USER,
            "created_at": stamp(_BEGAN),
            "updated_at": stamp(world.now()),
            "is_active": True,
            "max_monthly_credits": world.plan.monthly or NO_LIMIT,
            "max_requests_per_minute": world.plan.per_minute or NO_LIMIT,
            "subscription_tier": world.plan.name.lower(),
            "subscription_expires_at": None,
            "current_month_credits": used,
            "current_month_cost": used / 100,
            "total_credits": used,
            "total_cost": used / 100,
        }
    )


@answers("PATCH /tenant/settings")
def update_tenant(world: World, asked: Asked) -> Answer:
    settings = world.room(Account).tenant
    settings |= {k: v for k, v in (asked.body or {}).items() if k in settings}
    _audited(world, "tenant.settings_updated", "update", "tenant", TENANT)
    return tenant(world, asked)


@answers("GET /tenant/limits")
def limits(world: World, _asked: Asked) -> Answer:
    most, used = world.plan.monthly or NO_LIMIT, world.room(Library).uploaded_this_month
    return Answer(
        {
            "limits": {
                "monthly_uploads": most,
                "requests_per_minute": world.plan.per_minute or NO_LIMIT,
            },
            "usage": {"monthly_uploads": used},
            "remaining": {"monthly_uploads": max(most - used, 0)},
            "subscription_tier": world.plan.name.lower(),
        }
    )


@answers("GET /tenant/members")
def members(world: World, _asked: Asked) -> Answer:
    return Answer(list(world.room(Account).members.values()))


@answers("POST /tenant/members/invite", needs="email")
def invite(world: World, asked: Asked) -> Answer:
    account, email = world.room(Account), asked.given("email")
    if any(m["email"] == email for m in account.members.values()):
        raise Refusal(409, "CONFLICT", f"{email} is a member already")
    user_id = world.new_id("user")
    account.members[user_id] = _member(user_id, email, asked.given("role", "viewer"))
    _audited(world, "tenant.member_invited", "invite", "member", user_id)
    return Answer(account.members[user_id])


def _found_member(world: World, asked: Asked) -> dict[str, Any]:
    member = world.room(Account).members.get(asked.ids["user_id"])
    if member is None:
        raise not_found("Member")
    if member["role"] == "owner":
        raise Refusal(403, "FORBIDDEN", "The owner cannot be changed or removed")
    return member


@answers("PATCH /tenant/members/{user_id}/role", needs="role")
def change_role(world: World, asked: Asked) -> Answer:
    member = _found_member(world, asked)
    member["role"] = asked.given("role")
    _audited(world, "tenant.member_role_changed", "update", "member", member["id"])
    return Answer(member)


@answers("DELETE /tenant/members/{user_id}")
def remove_member(world: World, asked: Asked) -> Answer:
    member = _found_member(world, asked)
    del world.room(Account).members[member["id"]]
    _audited(world, "tenant.member_removed", "delete", "member", member["id"])
    return Answer({"message": "Member removed", "user_id": member["id"]})


@answers("GET /tenant/s3-config")
def s3_status(world: World, _asked: Asked) -> Answer:
    return Answer(world.room(Account).s3 or {"configured": False})


@answers("POST /tenant/s3-config", needs="access_key_id secret_access_key bucket_name region")
def configure_s3(world: World, asked: Asked) -> Answer:
    world.room(Account).s3 = {
        "configured": True,
        "bucket_name": asked.given("bucket_name"),
        "region": asked.given("region"),
        "configured_at": stamp(world.now()),
        "is_validated": True,
        "error": None,
    }
    _audited(world, "tenant.s3_configured", "create", "s3", asked.given("bucket_name"))
    return s3_status(world, asked)


@answers("DELETE /tenant/s3-config")
def remove_s3(world: World, _asked: Asked) -> Answer:
    account = world.room(Account)
    if account.s3 is None:
        raise not_found("S3 configuration")
    account.s3 = None
    return Answer({"message": "Custom S3 configuration removed"})


@answers("POST /tenant/s3-config/validate")
def validate_s3(world: World, _asked: Asked) -> Answer:
    s3 = world.room(Account).s3
    if s3 is None:
        return Answer({"valid": False, "error": "No custom S3 configuration"})
    return Answer(
        {"valid": True, "bucket_name": s3["bucket_name"], "region": s3["region"], "error": None}
    )


@answers("GET /tenant/audit-logs")
def audit_logs(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(50, 1000)
    first, last = asked.moment("date_from"), asked.moment("date_to")
    found = [
        e
        for e in reversed(world.room(Account).audit)
        if all(
            asked.text(name) in (None, e[name])
            for name in ("event_type", "severity", "user_id", "result")
        )
        and (first is None or seconds_of(e["event_timestamp"]) >= first)
        and (last is None or seconds_of(e["event_timestamp"]) <= last)
    ]
    return Answer(
        {
            "entries": found[offset : offset + limit],
            "total_count": len(found),
            "has_more": offset + limit < len(found),
        }
    )


@answers("GET /tenant/audit-logs/{log_id}")
def audit_log(world: World, asked: Asked) -> Answer:
    wanted = asked.ids["log_id"]
    found = next((e for e in world.room(Account).audit if e["id"] == wanted), None)
    if found is None:
        raise not_found("Audit log entry")
    return Answer(found)


@answers("POST /api-keys", needs="name")
def create_key(world: World, asked: Asked) -> Answer:
    """The new key works at once; it is shown this one time."""
    key_id = world.new_id("api key")
    text = f"aion_{key_id.replace('-', '')}"
    world.keys[text] = Key(text)
    record = {
        "id": key_id,
        "name": asked.given("name"),
        "description": asked.given("description"),
        "key_prefix": text[:12],
        "created_at": stamp(world.now()),
        "last_used_at": None,
        "expires_at": asked.given("expires_at"),
        "is_active": True,
        "scopes": list(asked.given("scopes", [])),
        "metadata": asked.given("metadata", {}),
        "usage_count": 0,
    }
    world.room(Account).keys[key_id] = record
    _audited(world, "api_key.created", "create", "api_key", key_id)
    shown = {k: v for k, v in record.items() if k not in ("last_used_at", "usage_count")}
    return Answer(shown | {"api_key": text}, 201)


@answers("GET /api-keys")
def list_keys(world: World, asked: Asked) -> Answer:
    offset, limit = asked.page(50, 1000)
    every = world.room(Account).keys.values()
    found = [k for k in every if k["is_active"] or asked.flag("include_inactive")]
    return Answer({"api_keys": found[offset : offset + limit], "total": len(found)})


def _found_key(world: World, asked: Asked) -> dict[str, Any]:
    record = world.room(Account).keys.get(asked.ids["api_key_id"])
    if record is None:
        raise not_found("API key")
    return record


@answers("GET /api-keys/{api_key_id}")
def get_key(world: World, asked: Asked) -> Answer:
    return Answer(_found_key(world, asked))


@answers("PUT /api-keys/{api_key_id}")
def update_key(world: World, asked: Asked) -> Answer:
    record = _found_key(world, asked)
    if not asked.body:
        raise invalid("name", "nothing to change")
    record |= {k: v for k, v in asked.body.items() if k in ("name", "description", "metadata")}
    return Answer(record)


@answers("DELETE /api-keys/{api_key_id}")
def revoke_key(world: World, asked: Asked) -> Answer:
    record = _found_key(world, asked)
    record["is_active"] = False
    world.keys[f"aion_{record['id'].replace('-', '')}"].active = False
    _audited(world, "api_key.revoked", "delete", "api_key", record["id"])
    return Answer(status=204, raw=b"")
