"""`client.tenant`: settings, limits and members of the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aion_dagster.client import limits
from aion_dagster.client.models.replies import REPLY
from aion_dagster.client.models.tenant import (
    MemberRole,
    TenantLimits,
    TenantMember,
    TenantSettings,
)
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.retrying import Repeat
from aion_dagster.client.synchronous import SyncResource, blocking

ROLES: Final = (MemberRole.VIEWER, MemberRole.EDITOR, MemberRole.ADMIN)


class TenantResource(Resource):
    """To look takes the right to view, to change that of an administrator or the owner."""

    async def get_settings(self) -> TenantSettings:
        """The tenant, its plan, and what it used."""
        return await self._ask(TenantSettings, "GET /tenant/settings")

    async def update_settings(
        self,
        *,
        name: str | None = None,
        webhook_url: str | None = None,
        allowed_vlm_providers: Sequence[str] | None = None,
        allowed_domains: Sequence[str] | None = None,
        custom_config: Mapping[str, Any] | None = None,
    ) -> TenantSettings:
        """Change settings; None leaves one as it is.

        Args:
            name: 1 to 255 characters.
            webhook_url: where events are sent, at most 2,083 characters.
            allowed_vlm_providers: openai, anthropic, google, azure, aws.
            allowed_domains: that browsers may call the API from.
            custom_config: anything.
        """
        limits.check_text("name", name, limits.TITLE, 1)
        limits.check_text("webhook_url", webhook_url, limits.WEBHOOK, 1)
        return await self._ask(
            TenantSettings,
            "PATCH /tenant/settings",
            body={
                "name": name,
                "webhook_url": webhook_url,
                "allowed_vlm_providers": _listed("allowed_vlm_providers", allowed_vlm_providers),
                "allowed_domains": _listed("allowed_domains", allowed_domains),
                "custom_config": None if custom_config is None else dict(custom_config),
            },
        )

    async def get_limits(self) -> TenantLimits:
        """What may be used, has been used, and is left."""
        return await self._ask(TenantLimits, "GET /tenant/limits")

    async def list_members(self) -> list[TenantMember]:
        """Everybody who has access."""
        return await self._ask(list[TenantMember], "GET /tenant/members")

    async def invite_member(self, email: str, *, role: str = "viewer") -> TenantMember:
        """Give somebody access as viewer, editor or admin; not tried again, since a mail may have gone out."""
        if "@" not in email:
            raise limits.refuse("email", f"{email!r} is no address")
        return await self._ask(
            TenantMember,
            "POST /tenant/members/invite",
            body={"email": email, "role": _role(role)},
            repeat=Repeat.REFUSED,
        )

    async def update_member_role(self, user_id: str, role: str) -> TenantMember:
        """Make a member a viewer, editor or admin; the owner stays one."""
        return await self._ask(
            TenantMember,
            "PATCH /tenant/members/{user_id}/role",
            ids={"user_id": user_id},
            body={"role": _role(role)},
        )

    async def remove_member(self, user_id: str) -> dict[str, Any]:
        """Take a member's access away; not the owner's."""
        return await self._ask(REPLY, "DELETE /tenant/members/{user_id}", ids={"user_id": user_id})


class SyncTenantResource(SyncResource[TenantResource]):
    """The same, blocking."""

    get_settings = blocking(TenantResource.get_settings)
    update_settings = blocking(TenantResource.update_settings)
    get_limits = blocking(TenantResource.get_limits)
    list_members = blocking(TenantResource.list_members)
    invite_member = blocking(TenantResource.invite_member)
    update_member_role = blocking(TenantResource.update_member_role)
    remove_member = blocking(TenantResource.remove_member)


def _role(role: str) -> str:
    if role not in ROLES:
        raise limits.refuse("role", f"{role!r} is none of {', '.join(ROLES)}")
    return str(role)


def _listed(field: str, words: Sequence[str] | None) -> list[str] | None:
    if isinstance(words, str):
        raise limits.refuse(field, "a list is expected, not one string")
    return None if words is None else list(words)
