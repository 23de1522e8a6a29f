"""`client.user`: the user behind the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aion_dagster.client import limits
from aion_dagster.client.models.user import UserProfile
from aion_dagster.client.resources.base import Resource
from aion_dagster.client.synchronous import SyncResource, blocking


class UserResource(Resource):
    """Who one is; passwords, sessions and the account itself belong to the dashboard."""

    async def get_profile(self) -> UserProfile:
        """The user."""
        return await self._ask(UserProfile, "GET /user/profile")

    async def update_profile(
        self, *, name: str | None = None, preferences: Mapping[str, Any] | None = None
    ) -> UserProfile:
        """Change the name (1 to 255 characters) or the preferences; None leaves one as it is."""
        limits.check_text("name", name, limits.TITLE, 1)
        return await self._ask(
            UserProfile,
            "PATCH /user/profile",
            body={
                "name": name,
                "preferences": None if preferences is None else dict(preferences),
            },
        )


class SyncUserResource(SyncResource[UserResource]):
    """The same, blocking."""

    get_profile = blocking(UserResource.get_profile)
    update_profile = blocking(UserResource.update_profile)
